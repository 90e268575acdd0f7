// Checks objects of custom resources against the schemas of their projects. Stdin: a list of objects; stdout: a list of faults.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const modules = `${process.env.PACKAGES_MODULES}/@kubernetes-models`;
const places = {
  "gateway.networking.k8s.io/v1": (kind) => `${modules}/gateway-api/gateway.networking.k8s.io/v1/${kind}.mjs`,
  "monitoring.coreos.com/v1": (kind) => `${modules}/prometheus-operator/monitoring.coreos.com/v1/${kind}.js`,
};

const faults = [];
for (const object of JSON.parse(readFileSync(0, "utf8"))) {
  const file = pathToFileURL(places[object.apiVersion](object.kind));
  const Model = (await import(file))[object.kind];
  try {
    new Model(object).validate();
  } catch (error) {
    faults.push(`${object.kind} ${object.metadata.name}: ${error.message}`);
  }
}
console.log(JSON.stringify(faults));
