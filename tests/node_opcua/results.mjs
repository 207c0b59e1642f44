// A machine with Result Transfer (OPC 40001-101), by the specification's own node set.
import { machine } from "./machine.mjs";

export const nodesets = ["standard", "machineryResult"];
const URI = "http://opcfoundation.org/UA/Machinery/Result/";

export function fill(opcua, space, own) {
  const { DataType, VariantArrayType } = opcua;
  const played = machine(opcua, space, own);
  const index = space.getNamespaceIndex(URI);
  const kept = new Map();
  let handles = 0;
  const management = space.findObjectType("ResultManagementType", index).instantiate({
    namespace: own,
    browseName: "ResultManagement",
    nodeId: "s=ResultManagement",
    componentOf: played.folder,
    optionals: ["GetResultIdListFiltered", "GetResultById", "ReleaseResultHandle", "AcknowledgeResults"],
  });
  const OK = { dataType: DataType.Int32, value: 0 };
  const handle = () => ({ dataType: DataType.UInt32, value: ++handles });
  const texts = (value) => ({ dataType: DataType.String, arrayType: VariantArrayType.Array, value });

  played.bind(management, "GetResultIdListFiltered", (_filter, _order, most) => {
    const listed = [...kept.keys()];
    return [handle(), texts(most ? listed.slice(0, most) : listed), OK];
  });
  played.bind(management, "GetResultById", (key) => {
    return [handle(), { dataType: DataType.ExtensionObject, value: kept.get(key) }, OK];
  });
  played.bind(management, "ReleaseResultHandle", () => {
    handles -= 1;
    return [OK];
  });
  played.bind(management, "AcknowledgeResults", (keys) => {
    const known = keys.map((key) => kept.delete(key));
    const errors = known.every(Boolean) ? [] : known.map((one) => (one ? 0 : 1));
    const value = Int32Array.from(errors);
    return [
      { dataType: DataType.Int32, arrayType: VariantArrayType.Array, value },
      { dataType: DataType.Int32, value: errors.length ? 1 : 0 },
    ];
  });

  const made = (name, fields) => space.constructExtensionObject(space.findDataType(name, index), fields);
  const variant = ({ type, value }) => ({
    dataType: DataType[type],
    arrayType: Array.isArray(value) ? VariantArrayType.Array : VariantArrayType.Scalar,
    value,
  });
  return {
    ...played.does,
    // Keep a result for the unit that was permitted, and say so by an event.
    keep: ({ key, serial, evaluation, started, ended, content }) => {
      const times = { startTime: new Date(started), endTime: new Date(ended), processingDuration: 1500 };
      const permitted = played.read("Answer.Serial") === serial && played.read("Answer.Granted");
      const meta = made("ResultMetaDataType", {
        resultId: key,
        partId: serial,
        resultEvaluation: evaluation,
        processingTimes: made("ProcessingTimesDataType", times),
        ...(permitted ? { jobId: played.read("Answer.Cycle") } : {}),
      });
      kept.set(key, made("ResultDataType", { resultMetaData: meta, resultContent: content.map(variant) }));
      space.rootFolder.objects.server.raiseEvent(space.findEventType("SystemEventType"), {});
    },
    kept: () => ({ keys: [...kept.keys()], handles }),
  };
}
