// An OPC UA server by node-opcua, for the tests of the PLC adapters: it plays one profile, and is told what to do by
// lines of JSON: {"do": NAME, ...}, each answered by a line. Its packages are in the folder it is started from.
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";

const opcua = createRequire(join(process.cwd(), "package.json"))("node-opcua");
const profile = await import(`./${process.argv[2]}.mjs`);
const settings = JSON.parse(process.argv[3]);
const { MessageSecurityMode, OPCUACertificateManager, OPCUAServer, SecurityPolicy } = opcua;

const certificates = new OPCUACertificateManager({
  automaticallyAcceptUnknownCertificate: true,
  rootFolder: settings.pki,
});
await certificates.initialize();
const server = new OPCUAServer({
  port: settings.port,
  host: "127.0.0.1",
  hostname: "127.0.0.1",
  serverCertificateManager: certificates,
  userCertificateManager: certificates,
  securityModes: [MessageSecurityMode.SignAndEncrypt],
  securityPolicies: [SecurityPolicy.Basic256Sha256],
  allowAnonymous: false,
  userManager: { isValidUser: (user, password) => user === "mes" && password === settings.password },
  serverInfo: { applicationUri: "urn:tests:node-opcua" },
  nodeset_filename: (profile.nodesets ?? []).map((name) => opcua.nodesets[name]),
});
await server.initialize();
const space = server.engine.addressSpace;
const does = profile.fill(opcua, space, space.registerNamespace(settings.namespace), settings);
await server.start();
say({ ready: server.endpoints[0].port });

for await (const line of createInterface({ input: process.stdin })) {
  const { do: name, ...told } = JSON.parse(line);
  try {
    say({ answer: (await does[name](told)) ?? null });
  } catch (error) {
    say({ error: String(error.stack) });
  }
}
process.exit(0); // whoever started it is gone

function say(what) {
  process.stdout.write(`${JSON.stringify(what)}\n`);
}
