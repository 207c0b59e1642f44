"""The structures of ISA-95 Job Control (OPC 10031-4, 6.3) that machines played in software offer: fields and types.

`[]` is an array, `?` an optional field.
"""

_TEXTS = {"Description": "LocalizedText[]?"}
_RESOURCE = {**_TEXTS, "Quantity": "DecimalString?", "EngineeringUnits": "EUInformation?"}
JOB_STRUCTURES = {
    "ISA95StateDataType": {"BrowsePath": "RelativePath", "StateText": "LocalizedText", "StateNumber": "UInt32"},
    "ISA95ParameterDataType": {
        "ID": "String",
        "Value": "BaseDataType",
        **_TEXTS,
        "EngineeringUnits": "EUInformation?",
        "Subparameters": "ISA95ParameterDataType[]?",
    },
    "ISA95WorkMasterDataType": {
        "ID": "String",
        "Description": "LocalizedText?",
        "Parameters": "ISA95ParameterDataType[]?",
    },
    "ISA95MaterialDataType": {
        "MaterialClassID": "String?",
        "MaterialDefinitionID": "String?",
        "MaterialLotID": "String?",
        "MaterialSublotID": "String?",
        "MaterialUse": "String?",
        **_RESOURCE,
    },
    "ISA95JobOrderDataType": {
        "JobOrderID": "String",
        **_TEXTS,
        "WorkMasterID": "ISA95WorkMasterDataType[]?",
        "StartTime": "DateTime?",
        "EndTime": "DateTime?",
        "Priority": "Int16?",
        "JobOrderParameters": "ISA95ParameterDataType[]?",
        "MaterialRequirements": "ISA95MaterialDataType[]?",
    },
    "ISA95JobResponseDataType": {
        "JobResponseID": "String",
        "Description": "LocalizedText?",
        "JobOrderID": "String",
        "StartTime": "DateTime?",
        "EndTime": "DateTime?",
        "JobState": "ISA95StateDataType[]",
        "JobResponseData": "ISA95ParameterDataType[]?",
        "MaterialActuals": "ISA95MaterialDataType[]?",
    },
}
