//! Cases for single steps: what goes in, what comes out, what goes wrong.

use deriva_api::{Blob, Params};

use super::executor_support::{Bench, function};

crate::case::cases! { $ each_executor_steps_case, Executor, Core:
    /// E8: inputs reach the function in the order of the recipe, the same one twice, too.
    async fn inputs_keep_their_order(trial) {
        let concat = function("concat/1", |inputs, _| Ok(inputs.concat().into()))?;
        let bench = Bench::open(trial, vec![concat]).await?;
        let inputs = ["a", "b", "", "a", "c"].map(Blob::new);
        let executed = bench.run("concat/1", &inputs, &Params::new()).await?;
        assert_eq!(bench.read(&executed).await?, "abac");
        Ok(())
    }
}
