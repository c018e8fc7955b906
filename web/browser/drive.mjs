/** Runs one scenario in a real browser: `node drive.mjs NAME OPTIONS_AS_JSON` prints what happened as JSON. */

import * as scenarios from "./scenarios.mjs";

const [name, options] = process.argv.slice(2);
console.log(JSON.stringify(await scenarios[name](JSON.parse(options))));
