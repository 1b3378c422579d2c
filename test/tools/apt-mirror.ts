// Reads a machine's apt sources and tells where its archive is mirrored. Reads text only: no files, no network.

/** An archive that has a Consul package, in one suite only. */
export interface ConsulArchive {
  /** Base URI of the machine's own mirror of it. */
  readonly uri: string;
  readonly suite: string;
  readonly component: string;
  /** Keyring that signs it, where the distribution puts it. */
  readonly keyring: string;
}

const archives: readonly (Omit<ConsulArchive, "uri"> & { readonly path: RegExp })[] = [
  {
    path: /\/debian\/?$/,
    suite: "bullseye",
    component: "main",
    keyring: "/usr/share/keyrings/debian-archive-keyring.gpg",
  },
  {
    path: /\/ubuntu\/?$/,
    suite: "jammy",
    component: "universe",
    keyring: "/usr/share/keyrings/ubuntu-archive-keyring.gpg",
  },
];

/**
 * The first mirror, in the given files' order, of an archive that has Consul. Takes both forms of apt's sources: deb822
 * (`*.sources`) and one line (`*.list`). https://manpages.debian.org/sources.list.5
 */
export function findConsulArchive(
  files: readonly { readonly name: string; readonly text: string }[],
): ConsulArchive | undefined {
  for (const { name, text } of files) {
    const uris = name.endsWith(".sources") ? urisOfStanzas(text) : urisOfLines(text);
    for (const uri of uris) {
      const archive = archives.find(({ path }) => path.test(uri));
      if (archive === undefined) continue;
      const { path: _path, ...rest } = archive;
      return { uri: uri.replace(/\/$/, ""), ...rest };
    }
  }
  return undefined;
}

function urisOfStanzas(text: string): readonly string[] {
  const withoutComments = text.replace(/^#.*\n?/gm, "");
  return withoutComments.split(/\n\s*\n/).flatMap((stanza) => {
    const field = (name: string) =>
      new RegExp(`^${name}:[ \\t]*((?:.*)(?:\\n[ \\t]+.*)*)`, "im").exec(stanza)?.[1]?.trim().split(/\s+/) ?? [];
    if (field("Enabled").some((value) => /^(?:no|false)$/i.test(value))) return [];
    return field("Types").includes("deb") ? field("URIs").filter((uri) => !isSecurity(uri)) : [];
  });
}

function urisOfLines(text: string): readonly string[] {
  return text
    .split("\n")
    .map((line) => /^\s*deb\s+(?:\[[^\]]*\]\s+)?(\S+)/.exec(line)?.[1])
    .filter((uri) => uri !== undefined)
    .filter((uri) => !isSecurity(uri));
}

// The mirrors of security updates have those alone.
function isSecurity(uri: string): boolean {
  return /security/.test(uri);
}
