//! Stacks by URI: how settings are read from one and written to one, and the factories for a registry.

use std::fmt::{self, Display};
use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use bytesize::ByteSize;
use deriva_api::{
    Error, ErrorKind, Layers, OpenedStore, PutTogether, Result, StackFactory, StoreRegistry,
    StoreUri,
};

use super::{LimitLayer, ReadOnlyLayer, RetryLayer, TieredLayer, TimeoutLayer};

/// Adds `split` and all layers of this module to a registry, so that URIs like `retry(sled:./data, attempts=3)` can be
/// opened.
///
/// # Errors
/// `Conflict` where a name is taken.
pub fn register(registry: &mut StoreRegistry) -> Result<()> {
    for stack in STACKS {
        registry.register_stack(Arc::new(stack))?;
    }
    Ok(())
}

const STACKS: [Stack; 6] = [
    Stack {
        name: "split",
        description: "blobs in one store, recipes in another",
        stores: &["blobs", "dag"],
        prepare: split,
    },
    Stack {
        name: "retry",
        description: "calls with a transient failure are made again",
        stores: &[""],
        prepare: retry,
    },
    Stack {
        name: "timeout",
        description: "calls that take too long fail",
        stores: &[""],
        prepare: timeout,
    },
    Stack {
        name: "limit",
        description: "a number of calls at once",
        stores: &[""],
        prepare: limit,
    },
    Stack {
        name: "read-only",
        description: "writes are refused",
        stores: &[""],
        prepare: read_only,
    },
    Stack {
        name: "tiered",
        description: "copies in a fast store of what a slow one holds",
        stores: &["fast", "slow"],
        prepare: tiered,
    },
];

struct Stack {
    name: &'static str,
    description: &'static str,
    stores: &'static [&'static str],
    prepare: fn(&StoreUri) -> Result<Box<PutTogether>>,
}

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Stack").field(&self.name).finish()
    }
}

impl StackFactory for Stack {
    fn name(&self) -> &str {
        self.name
    }

    fn description(&self) -> &str {
        self.description
    }

    fn stores(&self) -> &[&str] {
        self.stores
    }

    fn prepare(&self, uri: &StoreUri) -> Result<Box<PutTogether>> {
        (self.prepare)(uri)
    }
}

fn split(uri: &StoreUri) -> Result<Box<PutTogether>> {
    uri.allow_options(&[])?;
    Ok(Box::new(|stores| {
        let [blobs, dag] = two(stores)?;
        let lacks = |what: &'static str, of: &OpenedStore| {
            let error = Error::new(ErrorKind::Invalid, what).with("given", of);
            error.hint("write `split(blobs=files:./media, dag=redb:./graph)`")
        };
        if blobs.blobs.is_none() {
            return Err(lacks("this store holds no blobs", &blobs));
        }
        if dag.dag.is_none() {
            return Err(lacks("this store holds no recipes", &dag));
        }
        Ok(OpenedStore {
            blobs: blobs.blobs,
            dag: dag.dag,
        })
    }))
}

fn retry(uri: &StoreUri) -> Result<Box<PutTogether>> {
    uri.allow_options(&["attempts", "first_delay", "factor", "max_delay", "jitter"])?;
    let mut layer = RetryLayer::new();
    if let Some(attempts) = at_least_one(uri, "attempts")? {
        layer = layer.attempts(attempts);
    }
    if let Some(delay) = time(uri, "first_delay")? {
        layer = layer.first_delay(delay);
    }
    if let Some(factor) = uri.read_option::<f32>("factor", FACTOR)? {
        if factor.is_nan() || factor < 1.0 {
            return Err(uri.invalid(FACTOR).with("option", "factor"));
        }
        layer = layer.factor(factor);
    }
    if let Some(delay) = time(uri, "max_delay")? {
        layer = layer.max_delay(delay);
    }
    layer = match uri.option("jitter") {
        None => layer,
        Some("none") => layer.without_jitter(),
        Some(_) => {
            let seed = uri.read_option("jitter", "jitter is a number, the seed, or `none`")?;
            layer.jitter(seed.unwrap_or_default())
        }
    };
    Ok(stacked(Layers::new().layer(layer)))
}

const FACTOR: &str = "a factor is a number of 1 or more";

fn timeout(uri: &StoreUri) -> Result<Box<PutTogether>> {
    uri.allow_options(&["limit"])?;
    let limit = time(uri, "limit")?.unwrap_or(TimeoutLayer::DEFAULT_LIMIT);
    Ok(stacked(Layers::new().layer(TimeoutLayer::new(limit))))
}

fn limit(uri: &StoreUri) -> Result<Box<PutTogether>> {
    uri.allow_options(&["calls"])?;
    let calls = at_least_one(uri, "calls")?.unwrap_or(LimitLayer::DEFAULT_CALLS);
    Ok(stacked(Layers::new().layer(LimitLayer::new(calls))))
}

fn read_only(uri: &StoreUri) -> Result<Box<PutTogether>> {
    uri.allow_options(&[])?;
    Ok(stacked(Layers::new().layer(ReadOnlyLayer::new())))
}

fn tiered(uri: &StoreUri) -> Result<Box<PutTogether>> {
    uri.allow_options(&["max_blob", "capacity", "max_nodes"])?;
    let max_blob = bytes(uri, "max_blob")?;
    let capacity = bytes(uri, "capacity")?;
    let max_nodes = uri.read_option("max_nodes", "this is a number of recipes")?;
    Ok(Box::new(move |stores| {
        let [fast, slow] = two(stores)?;
        let identity = |it: &OpenedStore| it.blobs.as_ref()?.capabilities().identity;
        if identity(&fast).is_some() && identity(&fast) == identity(&slow) {
            let message = "the fast store is the slow one: its blobs would be let go as copies";
            return Err(Error::new(ErrorKind::Invalid, message).hint("name two stores"));
        }
        let mut layer = TieredLayer::new(fast);
        if let Some(bytes) = max_blob {
            layer = layer.max_blob(bytes);
        }
        if let Some(bytes) = capacity {
            layer = layer.capacity(bytes);
        }
        if let Some(nodes) = max_nodes {
            layer = layer.max_nodes(nodes);
        }
        Ok(Layers::new().layer(layer).wrap(slow))
    }))
}

fn stacked(layers: Layers) -> Box<PutTogether> {
    Box::new(move |mut stores| {
        let store = stores.pop().ok_or_else(wrong_number)?;
        Ok(layers.wrap(store))
    })
}

fn two(stores: Vec<OpenedStore>) -> Result<[OpenedStore; 2]> {
    stores.try_into().map_err(|_| wrong_number())
}

/// The registry gives what the factory asked for.
fn wrong_number() -> Error {
    Error::new(ErrorKind::Internal, "a stack got another number of stores")
}

fn time(uri: &StoreUri, key: &str) -> Result<Option<Duration>> {
    let expected = "a time is a number with a unit, like 50ms, 10s or 1m 30s";
    let time = uri.read_option::<humantime::Duration>(key, expected)?;
    Ok(time.map(Into::into))
}

fn bytes(uri: &StoreUri, key: &str) -> Result<Option<u64>> {
    let expected = "a size is a number of bytes with an optional unit, like 64KiB";
    let size = uri.read_option::<ByteSize>(key, expected)?;
    Ok(size.map(|size| size.as_u64()))
}

fn at_least_one(uri: &StoreUri, key: &'static str) -> Result<Option<usize>> {
    let expected = "this is a number of 1 or more";
    let number = uri.read_option::<NonZero<usize>>(key, expected)?;
    Ok(number.map(NonZero::get))
}

/// Settings that are not the default, as they stand in a URI after the store: `, attempts=3`.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings(String);

impl Settings {
    pub(super) fn with<T: Display + PartialEq>(mut self, key: &str, value: T, default: T) -> Self {
        if value != default {
            self.0 += &format!(", {key}={value}");
        }
        self
    }

    pub(super) fn with_time(self, key: &str, value: Duration, default: Duration) -> Self {
        let text = humantime::format_duration;
        self.with(key, text(value).to_string(), text(default).to_string())
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}
