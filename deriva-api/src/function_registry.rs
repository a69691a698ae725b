//! The functions that a runtime knows, by name and version.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use crate::nearest::nearest;
use crate::{ComputeFunction, Error, ErrorKind, FunctionDoc, FunctionId, Params, Result, Weight};
use bytes::Bytes;
use hashbrown::{DefaultHashBuilder, HashTable};

use crate::FnFunction;

/// The functions that a runtime knows.
///
/// A function that was registered stays: there is no way to replace it, because a result is stored
/// under a name for ever.
///
/// ```
/// use deriva_api::{Bytes, FunctionRegistry, Params, Weight};
///
/// let mut functions = FunctionRegistry::new();
/// functions.register_fn("my.first", "1", Weight::Light, |inputs, _| Ok(inputs[0].slice(..1)))?;
/// let first = functions.lookup("my.first", "1").unwrap();
/// assert_eq!(first.call(&[Bytes::from("abc")], &Params::new())?, "a");
/// # Ok::<(), deriva_api::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct FunctionRegistry {
    table: HashTable<Entry>,
    hasher: DefaultHashBuilder,
    /// Names, and the crate feature that brings functions of that name.
    by_feature: BTreeMap<&'static str, &'static str>,
}

#[derive(Clone)]
struct Entry {
    // The function's own id, kept here so that a lookup compares without a virtual call.
    id: FunctionId,
    function: Arc<dyn ComputeFunction>,
}

impl FunctionRegistry {
    /// A registry without functions.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a function.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when a function of this name and version is there already.
    pub fn register(&mut self, function: Arc<dyn ComputeFunction>) -> Result<()> {
        let id = function.id().clone();
        if self.get(&id).is_some() {
            return Err(Error::new(
                ErrorKind::Conflict,
                "a function of this name and version is registered already",
            )
            .with("function", id)
            .hint("give the new function another version"));
        }
        let hasher = &self.hasher;
        let hash = |id: &FunctionId| hash_of(hasher, id.name(), id.version());
        self.table
            .insert_unique(hash(&id), Entry { id, function }, |entry| hash(&entry.id));
        Ok(())
    }

    /// Adds a closure as a function that takes any inputs and params; [`FnFunction`] can declare more.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when name or version cannot name a function, [`ErrorKind::Conflict`] when
    /// the name and version are taken.
    pub fn register_fn<F>(
        &mut self,
        name: &str,
        version: &str,
        weight: Weight,
        run: F,
    ) -> Result<()>
    where
        F: Fn(&[Bytes], &Params) -> Result<Bytes> + Send + Sync + 'static,
    {
        let id = FunctionId::new(name, version)?;
        self.register(Arc::new(FnFunction::new(id, weight, run)))
    }

    /// The function of this id, where it is known.
    #[must_use]
    pub fn get(&self, id: &FunctionId) -> Option<&Arc<dyn ComputeFunction>> {
        self.lookup(id.name(), id.version())
    }

    /// The function of this name and version, where it is known. Does not allocate.
    #[must_use]
    #[inline]
    pub fn lookup(&self, name: &str, version: &str) -> Option<&Arc<dyn ComputeFunction>> {
        self.table
            .find(hash_of(&self.hasher, name, version), |entry| {
                entry.id.name() == name && entry.id.version() == version
            })
            .map(|entry| &entry.function)
    }

    /// Notes that functions of this name come with the crate feature `feature`.
    pub fn note_feature(&mut self, name: &'static str, feature: &'static str) {
        self.by_feature.insert(name, feature);
    }

    /// The crate feature with which functions of this name would be there; `None` where there are some, or no feature
    /// brings them.
    #[must_use]
    pub fn absent_feature(&self, name: &str) -> Option<&'static str> {
        let feature = self.by_feature.get(name)?;
        let is_there = self.iter().any(|function| function.id().name() == name);
        (!is_there).then_some(feature)
    }

    /// All functions, sorted by name and version.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn ComputeFunction>> {
        let mut entries: Vec<&Entry> = self.table.iter().collect();
        entries.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        entries.into_iter().map(|entry| &entry.function)
    }

    /// What people read of all functions, sorted by name and version.
    #[must_use]
    pub fn docs(&self) -> Vec<FunctionDoc> {
        self.iter().map(|function| (&**function).into()).collect()
    }

    /// How many functions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// The known function whose id is most like `id`, where one is like enough to be meant.
    #[must_use]
    pub fn nearest(&self, id: &FunctionId) -> Option<FunctionId> {
        let known: Vec<String> = self.iter().map(|f| f.id().to_string()).collect();
        let near = nearest(&id.to_string(), known.iter().map(String::as_str))?;
        near.parse().ok()
    }
}

// The bytes alone: hashing two `str` as such would write a separator after each.
#[inline]
fn hash_of(hasher: &DefaultHashBuilder, name: &str, version: &str) -> u64 {
    let mut state = hasher.build_hasher();
    state.write(name.as_bytes());
    state.write(version.as_bytes());
    state.finish()
}

impl fmt::Debug for FunctionRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.iter().map(|function| function.id()))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> FunctionRegistry {
        let mut functions = FunctionRegistry::new();
        for name in ["text.upper", "hash.blake3"] {
            functions
                .register_fn(name, "1", Weight::Light, |inputs, _| Ok(inputs[0].clone()))
                .unwrap();
        }
        functions
    }

    #[test]
    fn a_duplicate_is_a_conflict_and_another_version_is_none() {
        let mut functions = two();
        let error = functions
            .register_fn("text.upper", "1", Weight::Heavy, |_, _| Ok(Bytes::new()))
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert_eq!(error.context("function"), Some("text.upper/1"));
        assert_eq!(
            functions.lookup("text.upper", "1").unwrap().weight(),
            Weight::Light
        );
        functions
            .register_fn("text.upper", "2", Weight::Heavy, |_, _| Ok(Bytes::new()))
            .unwrap();
        assert_eq!(functions.len(), 3);
    }

    #[test]
    fn a_bad_name_is_invalid() {
        let error = two()
            .register_fn("a b", "1", Weight::Light, |_, _| Ok(Bytes::new()))
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }

    #[test]
    fn lookups_split_name_and_version_where_they_are_split() {
        let functions = two();
        assert!(functions.lookup("text.upper", "1").is_some());
        assert!(functions.lookup("text.upper1", "").is_none());
        assert!(functions.lookup("text.upper", "2").is_none());
        assert!(functions.get(&"hash.blake3/1".parse().unwrap()).is_some());
    }

    #[test]
    fn iteration_is_sorted() {
        let ids: Vec<String> = two().iter().map(|f| f.id().to_string()).collect();
        assert_eq!(ids, ["hash.blake3/1", "text.upper/1"]);
        assert_eq!(format!("{:?}", two()), "{hash.blake3/1, text.upper/1}");
        assert!(!two().is_empty() && FunctionRegistry::new().is_empty());
    }

    #[test]
    fn the_nearest_is_found_and_nothing_for_nonsense() {
        let functions = two();
        let near = |text: &str| {
            functions
                .nearest(&text.parse().unwrap())
                .map(|id| id.to_string())
        };
        assert_eq!(near("text.uper/1").as_deref(), Some("text.upper/1"));
        assert_eq!(near("text.upper/7").as_deref(), Some("text.upper/1"));
        assert_eq!(near("zzz/9"), None);
    }
}
