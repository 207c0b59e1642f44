// The words of one station on a server that isn't ours. Told in one line of JSON what to serve, then line by line what
// its program writes, or to cut its connections; says line by line what its clients have written. SignAndEncrypt alone,
// and no session unless somebody logs in.
import { createInterface } from "node:readline";
import {
    DataType, MessageSecurityMode, OPCUACertificateManager, OPCUAServer, SecurityPolicy, StatusCodes, UserTokenType,
    Variant, VariantArrayType,
} from "node-opcua";

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const say = (said) => process.stdout.write(`${JSON.stringify(said)}\n`);
const station = JSON.parse((await lines.next()).value);

const certificates = new OPCUACertificateManager({
    rootFolder: station.pki, automaticallyAcceptUnknownCertificate: true,
});
await certificates.initialize();
const server = new OPCUAServer({
    port: station.port,
    hostname: "127.0.0.1",
    securityModes: [MessageSecurityMode.SignAndEncrypt],
    securityPolicies: [SecurityPolicy.Basic256Sha256],
    allowAnonymous: false,
    userManager: { isValidUser: (user, password) => user === station.user && password === station.password },
    serverCertificateManager: certificates,
    userCertificateManager: certificates,
    buildInfo: { productName: "foreign PLC" },
});
await server.initialize();

const space = server.engine.addressSpace;
// another index than ours gives, as a PLC's next download may do
space.registerNamespace("urn:something-else");
const own = space.registerNamespace(station.namespace);
const folder = own.addObject({ organizedBy: space.rootFolder.objects, browseName: station.code });

const asSaid = (word, value) => (word.type === "DateTime" ? new Date(value) : value);
const words = new Map();
for (const word of station.words) {
    const variant = (value) => new Variant({
        dataType: DataType[word.type],
        arrayType: word.isArray ? VariantArrayType.Array : VariantArrayType.Scalar,
        value: word.isArray ? value.map((one) => asSaid(word, one)) : asSaid(word, value),
    });
    const node = own.addVariable({
        componentOf: folder,
        browseName: word.name,
        nodeId: word.node,
        dataType: word.type,
        valueRank: word.isArray ? 1 : -1,
        ...(word.isArray && { arrayDimensions: [0] }),
        accessLevel: word.isWritable ? "CurrentRead | CurrentWrite" : "CurrentRead",
        minimumSamplingInterval: 10,
    });
    node.setValueFromSource(variant(word.first));
    words.set(word.name, { node, variant });
    if (word.isWritable) {
        node.on("value_changed", ({ value }) => say({ word: word.name, value: value.value }));
    }
}

await server.start();
say({ port: server.endpoints[0].port, certificate: server.certificateFile });

for (let line = await lines.next(); !line.done; line = await lines.next()) {
    const { write = {}, cut = false } = JSON.parse(line.value);
    for (const [name, value] of Object.entries(write)) {
        const { node, variant } = words.get(name);
        node.setValueFromSource(variant(value), StatusCodes.Good);
    }
    const sessions = server.engine.currentSessionCount;
    if (cut) {
        server.endpoints[0].abruptlyInterruptChannels();
    }
    say({ done: true, sessions });
}
await server.shutdown(0);
process.exit(0);
