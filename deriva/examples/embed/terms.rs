//! A function with state.

use deriva::prelude::*;

/// Counts the lines of a document that hold one of some terms. The list is loaded once; which list it is belongs to
/// what the function computes, so another list is another version.
#[derive(Debug)]
pub(crate) struct Terms {
    id: FunctionId,
    params: Vec<ParamDoc>,
    terms: Vec<String>,
}

impl Terms {
    pub(crate) fn new(version: &str, terms: &[&str]) -> Result<Self> {
        Ok(Self {
            id: FunctionId::new("notes.terms", version)?,
            params: vec![ParamDoc {
                name: "at_most".into(),
                kind: "int".into(),
                required: false,
                description: "Lines to count at the most, 1 or more; default all.".into(),
            }],
            terms: terms.iter().map(|term| (*term).to_owned()).collect(),
        })
    }
}

impl ComputeFunction for Terms {
    fn id(&self) -> &FunctionId {
        &self.id
    }

    fn weight(&self) -> Weight {
        Weight::Heavy
    }

    fn description(&self) -> &str {
        "Counts the lines that hold a term."
    }

    fn params(&self) -> &[ParamDoc] {
        &self.params
    }

    // Asked when a recipe is inserted, and before each call.
    fn check(&self, inputs: usize, params: &Params) -> Result<()> {
        let known = |name: &str| self.params.iter().any(|param| param.name == name);
        let wrong = |what| Err(Error::new(ErrorKind::Invalid, what));
        match params.int("at_most")? {
            _ if inputs != 1 => wrong("one document was expected"),
            _ if !params.iter().all(|(name, _)| known(name)) => wrong("there is only `at_most`"),
            Some(..=0) => wrong("`at_most` is 1 or more"),
            _ => Ok(()),
        }
    }

    fn call(&self, inputs: &[Bytes], params: &Params) -> Result<Bytes> {
        self.call_within(inputs, params, &CallContext::default())
    }

    fn call_within(
        &self,
        inputs: &[Bytes],
        params: &Params,
        context: &CallContext,
    ) -> Result<Bytes> {
        let text = String::from_utf8_lossy(&inputs[0]);
        let at_most = params.int("at_most")?.unwrap_or(i64::MAX) as u64;
        let (mut found, mut done) = (0, 0);
        for line in text.lines() {
            if done % 1024 == 0 {
                context.check()?;
                context.progress(done, None);
            }
            found += u64::from(self.terms.iter().any(|term| line.contains(term)));
            done += 1;
            if found == at_most {
                break;
            }
        }
        Ok(found.to_string().into())
    }

    fn output_len(&self, _: &[u64], _: &Params) -> u64 {
        20
    }
}
