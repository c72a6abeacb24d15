// The rows of the first sheet of a workbook, as npm's readers find them, as JSON: node read.js BOOK
const ExcelJS = require("exceljs");
const { default: readExcelFile } = require("read-excel-file/node");

const values = (row) => Array.from(row.values).slice(1);

(async () => {
  const found = {};
  const whole = new ExcelJS.Workbook();
  await whole.xlsx.readFile(process.argv[2]);
  found.exceljs = [];
  whole.worksheets[0].eachRow((row) => found.exceljs.push(values(row)));
  found["exceljs, streaming"] = [];
  for await (const sheet of new ExcelJS.stream.xlsx.WorkbookReader(process.argv[2])) {
    for await (const row of sheet) found["exceljs, streaming"].push(values(row));
    break;
  }
  found["read-excel-file"] = (await readExcelFile(process.argv[2], { trim: false }))[0].data;
  console.log(JSON.stringify(found));
})();
