//! What the service `Graph` tells of a store, and of functions.

use deriva_api::{
    BlobStat, CAddr, DagUsage, Divergence, Error, ErrorKind, FunctionDoc, FunctionId, GraphEdge,
    GraphNode, Node, NodeState, Output, ParamDoc, Record, Result, Shown, Weight,
};

use crate::fields::{addr_of, bytes_of, invalid, maybe_addr_of, number, numbers, required, same};
use crate::v1;

impl From<Option<&Node>> for v1::MaybeNode {
    fn from(node: Option<&Node>) -> Self {
        Self {
            node: node.map(Into::into),
        }
    }
}

impl v1::MaybeNode {
    /// What it says of the address that was asked for.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] where it is the node of another address, or its bytes are no recipe or not that of the address, and
    /// [`ErrorKind::Invalid`] for what is wrong in the message.
    pub fn of(self, addr: CAddr) -> Result<Option<Node>> {
        let node = self.node.map(Node::try_from).transpose()?;
        match node {
            Some(node) if node.recipe.addr() != addr => {
                let what = "a recipe was answered that was not asked for";
                let error = Error::new(ErrorKind::Corrupt, what).with("addr", addr);
                Err(error.with("found", node.recipe.addr()))
            }
            node => Ok(node),
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

impl TryFrom<v1::MaybeOutput> for Option<Output> {
    type Error = Error;

    fn try_from(found: v1::MaybeOutput) -> Result<Self> {
        found.output.map(Output::try_from).transpose()
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

numbers!(NodeState = NodeState: Leaf, Present, Lost, Absent, InFlight, UnknownFunction, Condemned, Missing);

impl From<&[NodeState]> for v1::StatesResponse {
    fn from(states: &[NodeState]) -> Self {
        let states = states.iter();
        let states = states.map(|state| v1::NodeState::from(*state).into());
        Self {
            states: states.collect(),
        }
    }
}

impl TryFrom<v1::StatesResponse> for Vec<NodeState> {
    type Error = Error;

    fn try_from(found: v1::StatesResponse) -> Result<Self> {
        let states = found.states.into_iter();
        let states = states.map(|it| number::<v1::NodeState, _>("StatesResponse.states", it));
        states.collect()
    }
}

impl From<&Shown> for v1::ShowResponse {
    fn from(shown: &Shown) -> Self {
        use v1::show_response::What;
        let what = match shown {
            Shown::Recipe(node) => What::Recipe(node.into()),
            Shown::Blob(stat) => What::Blob((*stat).into()),
        };
        Self { what: Some(what) }
    }
}

impl TryFrom<v1::ShowResponse> for Shown {
    type Error = Error;

    fn try_from(found: v1::ShowResponse) -> Result<Self> {
        use v1::show_response::What;
        Ok(match required("ShowResponse.what", found.what)? {
            What::Recipe(node) => Self::Recipe(node.try_into()?),
            What::Blob(stat) => Self::Blob(BlobStat::try_from(stat)?),
        })
    }
}

impl From<&GraphNode> for v1::GraphNode {
    fn from(node: &GraphNode) -> Self {
        Self {
            addr: bytes_of(node.addr),
            state: v1::NodeState::from(node.state).into(),
            function: node.function.as_ref().map(Into::into),
            inputs: node.inputs,
            output: node.output.map(Into::into),
            len: node.len,
            depth: node.depth,
        }
    }
}

impl TryFrom<v1::GraphNode> for GraphNode {
    type Error = Error;

    fn try_from(found: v1::GraphNode) -> Result<Self> {
        let addr = addr_of("GraphNode.addr", &found.addr)?;
        let state = number::<v1::NodeState, _>("GraphNode.state", found.state)?;
        let mut node = Self::new(addr, state, found.depth);
        node.function = found.function.map(FunctionId::try_from).transpose()?;
        node.output = found.output.map(Output::try_from).transpose()?;
        same!(found -> node: inputs, len);
        Ok(node)
    }
}

impl From<GraphEdge> for v1::GraphEdge {
    fn from(edge: GraphEdge) -> Self {
        Self {
            input_place: edge.from,
            recipe_place: edge.to,
            input: edge.input,
        }
    }
}

impl From<v1::GraphEdge> for GraphEdge {
    fn from(found: v1::GraphEdge) -> Self {
        Self::new(found.input_place, found.recipe_place, found.input)
    }
}

/// A name and the address that it stands for.
impl From<(String, CAddr)> for v1::Root {
    fn from((name, addr): (String, CAddr)) -> Self {
        Self {
            name,
            addr: bytes_of(addr),
        }
    }
}

/// A name and the address that it stands for.
impl TryFrom<v1::Root> for (String, CAddr) {
    type Error = Error;

    fn try_from(found: v1::Root) -> Result<Self> {
        Ok((found.name, addr_of("Root.addr", &found.addr)?))
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

impl From<&FunctionDoc> for v1::FunctionDoc {
    fn from(doc: &FunctionDoc) -> Self {
        Self {
            function: Some((&doc.id).into()),
            description: doc.description.clone(),
            params: doc.params.iter().map(Into::into).collect(),
            weight: v1::Weight::from(doc.weight).into(),
        }
    }
}

impl TryFrom<v1::FunctionDoc> for FunctionDoc {
    type Error = Error;

    fn try_from(found: v1::FunctionDoc) -> Result<Self> {
        let id = required("FunctionDoc.function", found.function)?.try_into()?;
        let weight = number::<v1::Weight, _>("FunctionDoc.weight", found.weight)?;
        let mut doc = Self::new(id, weight);
        doc.description = found.description;
        doc.params = found.params.into_iter().map(Into::into).collect();
        Ok(doc)
    }
}
