// A machine with ISA-95 Job Control (OPC 10031-4), by the specification's own node set.
import { machine } from "./machine.mjs";

export const nodesets = ["standard", "isa95JobControl"];
const URI = "http://opcfoundation.org/UA/ISA95-JOBCONTROL_V2/";
const NO_ERROR = 1, UNKNOWN_JOB = 2, CANNOT = 8;

export function fill(opcua, space, own) {
  const { DataType, VariantArrayType } = opcua;
  const played = machine(opcua, space, own);
  const index = space.getNamespaceIndex(URI);
  const orders = new Map();
  const responses = new Map();
  const status = (code) => ({ dataType: DataType.UInt64, arrayType: VariantArrayType.Scalar, value: [0, code] });
  const made = (name, fields) => space.constructExtensionObject(space.findDataType(name, index), fields);
  const object = (type, name, optionals) =>
    space.findObjectType(type, index).instantiate({
      namespace: own,
      browseName: name,
      nodeId: `s=${name}`,
      componentOf: played.folder,
      optionals,
    });
  const receiver = object("ISA95JobOrderReceiverObjectType", "Receiver", ["StoreAndStart", "Cancel", "Clear"]);
  const provider = object("ISA95JobResponseProviderObjectType", "Provider", [
    "RequestJobResponseByJobOrderID",
    "RequestJobResponseByJobOrderState",
  ]);

  played.bind(receiver, "StoreAndStart", (order) => {
    if (orders.has(order.jobOrderID)) return [status(CANNOT)];
    orders.set(order.jobOrderID, order);
    return [status(NO_ERROR)];
  });
  played.bind(receiver, "Cancel", (job) => [status(orders.delete(job) ? NO_ERROR : UNKNOWN_JOB)]);
  played.bind(receiver, "Clear", (job) => [status(responses.delete(job) ? NO_ERROR : UNKNOWN_JOB)]);
  played.bind(provider, "RequestJobResponseByJobOrderID", (job) => [
    responses.has(job) ? { dataType: DataType.ExtensionObject, value: responses.get(job) } : { dataType: DataType.Null },
    status(responses.has(job) ? NO_ERROR : UNKNOWN_JOB),
  ]);
  played.bind(provider, "RequestJobResponseByJobOrderState", ([state]) => {
    const value = [...responses.values()].filter((one) => one.jobState[0].stateNumber === state.stateNumber);
    return [{ dataType: DataType.ExtensionObject, arrayType: VariantArrayType.Array, value }, status(NO_ERROR)];
  });

  const variant = ({ type, value }) => ({
    dataType: DataType[type],
    arrayType: Array.isArray(value) ? VariantArrayType.Array : VariantArrayType.Scalar,
    value,
  });
  const state = (text, number) => made("ISA95StateDataType", { stateText: { text }, stateNumber: number });
  const material = (fields) => made("ISA95MaterialDataType", fields);
  return {
    ...played.does,
    // End the job that is ordered for a unit.
    end: ({ serial, started, ended, data, parts }) => {
      const ordered = ([, order]) => order.materialRequirements[0].materialLotID === serial;
      const [job] = [...orders].find(ordered) ?? [`local-${serial}`];
      orders.delete(job);
      const used = parts.map(([part, one]) =>
        material({ materialDefinitionID: part, materialLotID: one, materialUse: "Material Consumed" }),
      );
      const response = made("ISA95JobResponseDataType", {
        jobResponseID: `response-${job}`,
        jobOrderID: job,
        startTime: new Date(started),
        endTime: new Date(ended),
        jobState: [state("Ended", 5), state("Completed", 51)],
        jobResponseData: data.map(({ id, ...said }) =>
          made("ISA95ParameterDataType", { ID: id, value: variant(said) }),
        ),
        materialActuals: [material({ materialLotID: serial, materialUse: "Material Produced" }), ...used],
      });
      responses.set(job, response);
      space.rootFolder.objects.server.raiseEvent(space.findEventType("SystemEventType"), {});
    },
    kept: () => ({ orders: [...orders.values()].map((one) => one.toJSON()), responses: [...responses.keys()] }),
  };
}
