// What asl-validator says of the definition on stdin, as JSON.
const validate = require("asl-validator");

const definition = JSON.parse(require("fs").readFileSync(0, "utf8"));
console.log(JSON.stringify(validate(definition, { checkPaths: true, checkArn: true }).errors));
