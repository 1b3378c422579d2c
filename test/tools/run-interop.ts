// `npm run interop`: builds the Go and Rust programs of test/interop, installs what the Python ones need, and lets them, grpc-js,
// nghttp2's tools and ours meet. Stands outside of `npm test`: it needs Go, Rust and Python, and fetches modules. Where one of them
// is missing its cases are skipped, and fail where CI=true.
// LICTOR_HTTP2=lictor|node says which HTTP/2 of ours is met; unset, it is the default one.

import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, readFileSync, rmSync } from "node:fs";
import process from "node:process";
import { echoDescriptors, goFolder, nghttp2Skip, pythonFolder, rustFolder } from "../interop/programs.ts";
import { runSuite } from "./run-files.ts";
import { projectFolder } from "./runtimes.ts";

process.exitCode = await main(process.argv.slice(2));

async function main(parts: readonly string[]): Promise<number> {
  const hasGo = spawnSync("go", ["version"]).status === 0;
  if (!hasGo) {
    console.error("!!! No Go on this machine: the cases with grpc-go, grpcurl and the original programs cannot run.");
    if (process.env.CI === "true") return 1;
  } else if (!buildGo()) {
    return 1;
  }
  const hasPython = spawnSync("python3", ["-c", "import venv, ensurepip"]).status === 0;
  if (!hasPython) {
    console.error("!!! No Python 3 with venv on this machine: the cases with grpcio cannot run.");
    if (process.env.CI === "true") return 1;
  } else if (!installPython() || !describeEcho()) {
    return 1;
  }
  const hasRust = spawnSync("cargo", ["--version"]).status === 0;
  if (!hasRust) {
    console.error("!!! No Rust on this machine: the cases with tonic cannot run.");
    if (process.env.CI === "true") return 1;
  } else if (!buildRust()) {
    return 1;
  }
  if (nghttp2Skip !== false) console.error(`!!! The cases with nghttp2's tools cannot run: ${nghttp2Skip}`);
  return runSuite("test/interop", { parts, fileTimeoutMs: 240_000, jobs: 2 });
}

/** Builds what is out of date; Go's own cache knows. */
function buildGo(): boolean {
  const modules = [
    {
      folder: "test/interop/go",
      packages: [
        "./client-consul",
        "./server-consul",
        "./reflection-client",
        "github.com/fullstorydev/grpcurl/cmd/grpcurl",
        "github.com/fullstorydev/grpcui/cmd/grpcui",
      ],
    },
    { folder: "test/interop/go/original", packages: ["./client-original", "./server-original"] },
  ];
  return modules.every(({ folder, packages }) => {
    // A checkout that belongs to somebody else stops -buildvcs.
    const args = ["build", "-buildvcs=false", "-o", goFolder, ...packages];
    const { status } = spawnSync("go", args, { cwd: projectFolder + folder, stdio: ["ignore", "inherit", "inherit"] });
    if (status !== 0) console.error(`!!! Cannot build ${folder}`);
    return status === 0;
  });
}

/** Installs into a folder of its own, unless it holds the very same already. */
function installPython(): boolean {
  const wanted = `${projectFolder}test/interop/python/requirements.txt`;
  const installed = `${pythonFolder}requirements.txt`;
  if (existsSync(installed) && readFileSync(installed, "utf8") === readFileSync(wanted, "utf8")) return true;
  rmSync(pythonFolder, { recursive: true, force: true });
  const run = (program: string, args: readonly string[]) =>
    spawnSync(program, args, { stdio: ["ignore", "inherit", "inherit"] }).status === 0;
  const pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", wanted];
  const done = run("python3", ["-m", "venv", pythonFolder]) && run(`${pythonFolder}bin/python`, pip);
  // Last, so that it stands for a whole installation.
  if (done) copyFileSync(wanted, installed);
  else console.error("!!! Cannot install test/interop/python");
  return done;
}

/** What test/interop/python/echo.py reads instead of generated code. */
function describeEcho(): boolean {
  const args = ["build", "test/proto", "--path", "test/proto/lictor/test/v1/echo.proto", "--output", echoDescriptors];
  const buf = `${projectFolder}node_modules/.bin/buf`;
  const { status } = spawnSync(buf, args, { cwd: projectFolder, stdio: ["ignore", "inherit", "inherit"] });
  if (status !== 0) console.error("!!! Cannot describe test/proto/lictor/test/v1/echo.proto");
  return status === 0;
}

/** Builds what is out of date; cargo knows. Unoptimized: half a minute the first time, on two cores. */
function buildRust(): boolean {
  const manifest = `${projectFolder}test/interop/rust/Cargo.toml`;
  const args = ["build", "--quiet", "--locked", "--manifest-path", manifest, "--target-dir", rustFolder];
  const { status } = spawnSync("cargo", args, { stdio: ["ignore", "inherit", "inherit"] });
  if (status !== 0) console.error("!!! Cannot build test/interop/rust");
  return status === 0;
}
