// `npm run interop`: builds the Go programs of test/interop/go, installs what the Python one needs, and lets them, grpc-js and
// ours meet. Stands outside of `npm test`: it needs Go and Python, and fetches modules. Without Go or Python their cases are
// skipped, and fail where CI=true.

import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, readFileSync, rmSync } from "node:fs";
import process from "node:process";
import { goFolder, pythonFolder } from "../interop/programs.ts";
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
    console.error("!!! No Python 3 with venv on this machine: the cases with grpcio-reflection cannot run.");
    if (process.env.CI === "true") return 1;
  } else if (!installPython()) {
    return 1;
  }
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
