// What machines of companion specifications have in common: arrival and answer, and methods bound by their names.
export function machine(opcua, space, own) {
  const { DataType, StatusCodes } = opcua;
  const folder = own.addObject({ organizedBy: space.rootFolder.objects, browseName: "Machine" });
  const variables = {};
  for (const [name, dataType, first, writable] of [
    ["Arrival.Serial", "String", "", false],
    ["Arrival.Since", "UInt32", 0, false],
    ["Answer.Granted", "Boolean", false, true],
    ["Answer.Serial", "String", "", true],
    ["Answer.Cycle", "String", "", true],
    ["Answer.Text", "String", "", true],
    ["Answer.Recipe", "String", "", true],
  ]) {
    const variable = own.addVariable({
      componentOf: folder,
      browseName: name,
      nodeId: `s=${name}`,
      dataType,
      accessLevel: writable ? "CurrentRead | CurrentWrite" : "CurrentRead",
      userAccessLevel: writable ? "CurrentRead | CurrentWrite" : "CurrentRead",
    });
    variables[name] = variable;
    variable.setValueFromSource({ dataType: DataType[dataType], value: first }, StatusCodes.Good);
  }

  function read(name) {
    return variables[name].readValue().value.value;
  }

  function write(name, value) {
    variables[name].setValueFromSource({ dataType: variables[name].readValue().value.dataType, value });
  }

  return {
    folder,
    read,
    // Bind a method to a function from values to output variants; one that throws answers BadInternalError.
    bind(thing, name, does) {
      const method = thing.getMethodByName(name);
      method.bindMethod(async (inputs, _context) => {
        try {
          const outputArguments = does(...inputs.map((one) => one.value));
          return { statusCode: StatusCodes.Good, outputArguments };
        } catch (error) {
          console.error(error);
          throw error;
        }
      });
    },
    does: {
      bring: ({ serial }) => {
        write("Arrival.Since", read("Arrival.Since") + 1);
        write("Arrival.Serial", serial);
      },
      read: () => Object.fromEntries(Object.keys(variables).map((name) => [name, read(name)])),
    },
  };
}
