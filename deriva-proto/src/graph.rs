//! What the service `Graph` tells of a store, and of functions.

use deriva_api::{
    ComputeFunction, DagUsage, Divergence, Error, Node, Output, ParamDoc, Record, Result, Weight,
};

use crate::fields::{addr_of, bytes_of, invalid, maybe_addr_of, numbers, required};
use crate::v1;

impl From<Option<&Node>> for v1::MaybeNode {
    fn from(node: Option<&Node>) -> Self {
        Self {
            node: node.map(Into::into),
        }
    }
}

impl From<Option<Output>> for v1::MaybeOutput {
    fn from(output: Option<Output>) -> Self {
        Self {
            output: output.map(Into::into),
        }
    }
}

impl From<Record> for v1::Record {
    fn from(record: Record) -> Self {
        Self {
            addr: bytes_of(record.addr),
            resolved: record.resolved.map(bytes_of),
            output: Some(record.output.into()),
        }
    }
}

impl TryFrom<v1::Record> for Record {
    type Error = Error;

    fn try_from(record: v1::Record) -> Result<Self> {
        Ok(Self {
            addr: addr_of("Record.addr", &record.addr)?,
            resolved: maybe_addr_of("Record.resolved", record.resolved.as_ref())?,
            output: required("Record.output", record.output)?.try_into()?,
        })
    }
}

impl From<Divergence> for v1::Divergence {
    fn from(divergence: Divergence) -> Self {
        Self {
            addr: bytes_of(divergence.addr),
            recorded: Some(divergence.recorded.into()),
            offered: Some(divergence.offered.into()),
        }
    }
}

impl TryFrom<v1::Divergence> for Divergence {
    type Error = Error;

    fn try_from(divergence: v1::Divergence) -> Result<Self> {
        Ok(Self {
            addr: addr_of("Divergence.addr", &divergence.addr)?,
            recorded: required("Divergence.recorded", divergence.recorded)?.try_into()?,
            offered: required("Divergence.offered", divergence.offered)?.try_into()?,
        })
    }
}

impl From<DagUsage> for v1::GraphUsage {
    fn from(usage: DagUsage) -> Self {
        Self {
            recipes: usage.recipes,
            outputs: usage.outputs,
            roots: usage.roots,
        }
    }
}

impl From<v1::GraphUsage> for DagUsage {
    fn from(usage: v1::GraphUsage) -> Self {
        Self {
            recipes: usage.recipes,
            outputs: usage.outputs,
            roots: usage.roots,
        }
    }
}

numbers!(Weight = Weight: Light, Heavy);

impl From<&ParamDoc> for v1::ParamDoc {
    fn from(param: &ParamDoc) -> Self {
        Self {
            name: param.name.to_string(),
            kind: param.kind.to_string(),
            required: param.required,
            description: param.description.to_string(),
        }
    }
}

impl From<v1::ParamDoc> for ParamDoc {
    fn from(param: v1::ParamDoc) -> Self {
        Self {
            name: param.name.into(),
            kind: param.kind.into(),
            required: param.required,
            description: param.description.into(),
        }
    }
}

impl From<&dyn ComputeFunction> for v1::FunctionDoc {
    fn from(function: &dyn ComputeFunction) -> Self {
        Self {
            function: Some(function.id().into()),
            description: function.description().to_owned(),
            params: function.params().iter().map(Into::into).collect(),
            weight: v1::Weight::from(function.weight()).into(),
        }
    }
}
