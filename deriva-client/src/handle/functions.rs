//! The functions that the server can apply.

use deriva_api::{FunctionDoc, Result};
use deriva_proto::v1;

use crate::answers::{checked, told};
use crate::client::Client;
use crate::link::call;

impl Client {
    /// The functions that the server can apply, in its order.
    ///
    /// # Errors
    /// What the connection says.
    pub async fn functions(&self) -> Result<Vec<FunctionDoc>> {
        let link = self.link();
        let answer = call!(link.short(v1::FunctionsRequest {}) -> graph.functions).await?;
        checked("functions", || {
            let read = answer.functions.into_iter().map(read);
            read.collect()
        })
    }
}

fn read(mut found: v1::FunctionDoc) -> Result<FunctionDoc> {
    // A weight of a later version is one more reason to expect much.
    if v1::Weight::try_from(found.weight).is_err() {
        found.weight = v1::Weight::Heavy.into();
    }
    told(FunctionDoc::try_from(found))
}
