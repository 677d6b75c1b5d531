// SPDX-License-Identifier: Apache-2.0
// Is the OpenAPI document valid, and do values fit its schemas?  Prints what is wrong as a JSON list of texts.
// Usage: node openapi.js < {"document": ..., "values": [[name of a schema, value], ...]}
"use strict";
const { createRequire } = require("module");
const here = createRequire(process.cwd() + "/");
const SwaggerParser = here("@apidevtools/swagger-parser");
const Ajv = here("ajv/dist/2020").default;

async function main() {
  const { document, values } = JSON.parse(require("fs").readFileSync(0, "utf8"));
  const wrong = [];
  await SwaggerParser.validate(structuredClone(document)).catch((e) => wrong.push(String(e)));
  const ajv = new Ajv({ strict: false, allErrors: true });
  ajv.addSchema(document, "api");
  for (const [name, value] of values) {
    const check = ajv.getSchema(`api#/components/schemas/${name}`);
    if (!check) wrong.push(`no schema ${name}`);
    else if (!check(value)) wrong.push(`${name}: ${ajv.errorsText(check.errors)}`);
  }
  console.log(JSON.stringify(wrong));
}

main();
