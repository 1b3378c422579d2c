// A folder of files that are replaced all at once, as Kubernetes mounts secrets: each file is a link into `..data`, which is a link to the
// newest version. https://kubernetes.io/docs/concepts/storage/projected-volumes/

import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** The folder. Disposing of it removes it. */
export interface MountedFolder extends Disposable {
  pathOf(name: string): string;
  /** Replaces all files at once. */
  publish(files: Readonly<Record<string, string>>): void;
}

/** Makes a folder with these files. The names never change. */
export function createMountedFolder(files: Readonly<Record<string, string>>): MountedFolder {
  const folder = mkdtempSync(join(tmpdir(), "lictor-mounted-"));
  let version = 0;
  const publish = (next: Readonly<Record<string, string>>): void => {
    version++;
    mkdirSync(join(folder, `..${version}`));
    for (const [name, text] of Object.entries(next)) writeFileSync(join(folder, `..${version}`, name), text);
    symlinkSync(`..${version}`, join(folder, "..next"));
    renameSync(join(folder, "..next"), join(folder, "..data"));
    rmSync(join(folder, `..${version - 1}`), { recursive: true, force: true });
  };
  publish(files);
  for (const name of Object.keys(files)) symlinkSync(join("..data", name), join(folder, name));
  return {
    pathOf: (name) => join(folder, name),
    publish,
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
}
