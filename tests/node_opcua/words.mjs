// The tag handshake's PLC: variables by name, type and first value; the test plays its program.
export const nodesets = ["standard"];

export function fill(opcua, space, own, { words }) {
  const { DataType, StatusCodes, VariantArrayType } = opcua;
  const folder = own.addObject({ organizedBy: space.rootFolder.objects, browseName: "Station" });
  const variables = {};
  for (const { name, node, type, array, writable, first } of words) {
    const dataType = DataType[type];
    const variable = own.addVariable({
      componentOf: folder,
      browseName: name,
      nodeId: node,
      dataType,
      valueRank: array ? 1 : -1,
      accessLevel: writable ? "CurrentRead | CurrentWrite" : "CurrentRead",
      userAccessLevel: writable ? "CurrentRead | CurrentWrite" : "CurrentRead",
    });
    variables[name] = { variable, dataType, array };
    set(name, first);
  }

  if (variables.Heartbeat) {
    setInterval(() => set("Heartbeat", (get("Heartbeat") + 1) % 2 ** 16), 50);
  }

  function set(name, value) {
    const { variable, dataType, array } = variables[name];
    const arrayType = array ? VariantArrayType.Array : VariantArrayType.Scalar;
    const taken = dataType === DataType.DateTime ? new Date(value) : value;
    variable.setValueFromSource({ dataType, arrayType, value: taken }, StatusCodes.Good);
  }

  function get(name) {
    const { value } = variables[name].variable.readValue().value;
    return ArrayBuffer.isView(value) ? [...value] : value;
  }

  return {
    write: ({ words: said }) => Object.entries(said).forEach(([name, value]) => set(name, value)),
    read: ({ words: asked }) => Object.fromEntries(asked.map((name) => [name, get(name)])),
  };
}
