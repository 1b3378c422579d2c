// Programs out of Debian's (or Ubuntu's) own packages, unpacked into a folder: nothing is installed, and no root is needed. apt runs
// with lists of its own, over the machine's sources.

import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, globSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/**
 * Puts `<folder>/bin/<program>` there, a script that runs the package's program with the libraries it came with. Returns its path.
 * Throws where apt cannot get it.
 */
export function unpackProgram(packageName: string, program: string, folder: string): string {
  const wrapper = join(folder, "bin", program);
  if (existsSync(wrapper)) return wrapper;
  if (!existsSync("/usr/bin/apt-get")) throw new Error("this machine has no apt-get");
  const work = join(folder, "debian");
  const [lists, archives, root] = ["lists", "archives", "root"].map((name) => join(work, name)) as [
    string,
    string,
    string,
  ];
  for (const path of [join(lists, "partial"), archives, root, join(folder, "bin")])
    mkdirSync(path, { recursive: true });
  const settings = {
    "Dir::State::Lists": lists,
    "Dir::Cache::pkgcache": "",
    "Dir::Cache::srcpkgcache": "",
    "Acquire::Languages": "none",
    // Its own user could not write into this folder.
    "APT::Sandbox::User": "root",
  };
  const options = ["-q", ...Object.entries(settings).flatMap(([name, value]) => ["-o", `${name}=${value}`])];
  execFileSync("apt-get", [...options, "update"], { stdio: ["ignore", 2, 2] });
  // What an installation would add: the package, and of the libraries that it needs those which are not here.
  const plan = execFileSync("apt-get", [...options, "install", "--simulate", "--no-install-recommends", packageName], {
    encoding: "utf8",
  });
  const names = [...plan.matchAll(/^Inst (\S+)/gm)].map(([, name]) => name as string);
  if (names.length === 0) throw new Error(`${packageName} is installed, but ${program} is not on PATH`);
  execFileSync("apt-get", [...options, "download", ...names], { cwd: archives, stdio: ["ignore", 2, 2] });
  for (const archive of globSync("*.deb", { cwd: archives })) {
    execFileSync("dpkg-deb", ["-x", join(archives, archive), root]);
  }
  const libraries = globSync("usr/lib/*-linux-*", { cwd: root }).map((path) => join(root, path));
  writeFileSync(
    wrapper,
    `#!/bin/sh\nLD_LIBRARY_PATH='${libraries.join(":")}' exec '${join(root, "usr/bin", program)}' "$@"\n`,
  );
  chmodSync(wrapper, 0o755);
  try {
    execFileSync(wrapper, ["--version"], { stdio: "ignore" });
  } catch (error) {
    rmSync(wrapper);
    throw error;
  }
  rmSync(lists, { recursive: true, force: true });
  rmSync(archives, { recursive: true, force: true });
  return wrapper;
}
