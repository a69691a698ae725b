//! The functions that the server can apply.

use deriva_api::{FunctionId, ParamDoc, Result, Weight};
use deriva_proto::v1;

use crate::answers::{checked, told, was};
use crate::client::Client;
use crate::link::call;

/// A function of the server, as people read of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FunctionDoc {
    /// Its name and version.
    pub id: FunctionId,
    /// What it does, in one sentence; empty where nothing is said.
    pub description: String,
    /// The params that it knows.
    pub params: Vec<ParamDoc>,
    /// How much work one call is.
    pub weight: Weight,
}

impl Client {
    /// The functions that the server can apply, in its order.
    ///
    /// # Errors
    /// What the connection says.
    pub async fn functions(&self) -> Result<Vec<FunctionDoc>> {
        let link = self.link();
        let answer = call!(link.short(v1::FunctionsRequest {}) -> graph.functions).await?;
        checked("functions", || {
            answer.functions.into_iter().map(read).collect()
        })
    }
}

fn read(found: v1::FunctionDoc) -> Result<FunctionDoc> {
    // A weight of a later version is one more reason to expect much.
    let weight = v1::Weight::try_from(found.weight).ok();
    let weight = weight.and_then(|weight| Weight::try_from(weight).ok());
    let id = found
        .function
        .ok_or_else(|| was("the name of a function", "nothing"))?;
    Ok(FunctionDoc {
        id: told(FunctionId::try_from(id))?,
        description: found.description,
        params: found.params.into_iter().map(Into::into).collect(),
        weight: weight.unwrap_or(Weight::Heavy),
    })
}
