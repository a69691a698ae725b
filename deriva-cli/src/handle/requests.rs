//! Calls with options: set them, then `.await`.

use std::future::IntoFuture;

use deriva::admin::{Collected, Invalidated, Scrubbed};
use deriva::determinism::{AuditEvent, Audited};
use deriva::events::{CollectEvent, Event, ScrubEvent, Timeline};
use deriva::{CAddr, Determinism, FunctionId, Materialized, Result, admin, client, determinism};
use futures::FutureExt;
use futures::future::BoxFuture;

use super::Handle;

/// Requests with the same options here and there.
macro_rules! requests {
    ($($(#[$doc:meta])* $request:ident($here:ty, $there:ty) -> $done:ty {
        $(fn $option:ident($($arg:ident: $of:ty),*);)*
    })+) => {
        $(
            $(#[$doc])*
            #[must_use = "a request does nothing until it is awaited"]
            pub(crate) enum $request {
                Here($here),
                There($there),
            }

            impl $request {
                $(pub(crate) fn $option(self, $($arg: $of),*) -> Self {
                    match self {
                        Self::Here(request) => Self::Here(request.$option($($arg),*)),
                        Self::There(request) => Self::There(request.$option($($arg),*)),
                    }
                })*
            }

            impl IntoFuture for $request {
                type Output = Result<$done>;
                type IntoFuture = BoxFuture<'static, Self::Output>;

                fn into_future(self) -> Self::IntoFuture {
                    match self {
                        Self::Here(request) => request.into_future().boxed(),
                        Self::There(request) => request.into_future().boxed(),
                    }
                }
            }
        )+
    };
}

requests! {
    /// A request for the bytes of addresses.
    Materialize(deriva::Materialize, client::Materialize) -> Materialized {
        fn determinism(mode: Determinism);
        fn determinism_at(recipes: impl IntoIterator<Item = CAddr>, mode: Determinism);
        fn perturb(perturb: bool);
        fn request_id(id: std::sync::Arc<str>);
        fn keep_going();
        fn jobs(jobs: usize);
        fn progress(handler: impl Fn(&Event) + Send + Sync + 'static);
    }

    /// A request for the graph below an address.
    GraphWalk(admin::GraphWalk, client::GraphWalk) -> admin::Graph {
        fn limit(nodes: u32);
    }

    /// A request that outputs be forgotten.
    Invalidate(admin::Invalidate, client::Invalidate) -> Invalidated {
        fn cascade();
        fn dry_run();
    }

    /// A request that what nothing needs be taken away.
    Collect(admin::Collect, client::Collect) -> Collected {
        fn policy(policy: admin::CollectPolicy);
        fn dry_run();
        fn progress(handler: impl Fn(&CollectEvent) + Send + Sync + 'static);
    }

    /// A request that everything be read and verified.
    Scrub(admin::Scrub, client::Scrub) -> Scrubbed {
        fn bytes_per_second(bytes: u64);
        fn after(cursor: admin::ScrubCursor);
        fn limit_bytes(bytes: u64);
        fn progress(handler: impl Fn(&ScrubEvent) + Send + Sync + 'static);
    }

    /// A request that recorded outputs be compared with what their recipes give now.
    Audit(determinism::Audit, client::Audit) -> Audited {
        fn function(function: &FunctionId);
        fn addr(addr: CAddr);
        fn root(name: &str);
        fn per_second(computations: f64);
        fn jobs(jobs: usize);
        fn after(cursor: CAddr);
        fn limit(computations: u64);
        fn dry_run();
        fn progress(handler: impl Fn(&AuditEvent) + Send + Sync + 'static);
    }
}

impl Materialize {
    /// Notes what ran when, where it runs here; who asks for that of a server is refused before.
    pub(crate) fn timeline(self, timeline: Timeline) -> Self {
        match self {
            Self::Here(request) => Self::Here(request.timeline(timeline)),
            there @ Self::There(_) => there,
        }
    }
}

/// The beginning of each.
macro_rules! begun {
    ($(fn $call:ident($($arg:ident: $of:ty),*) -> $request:ident;)+) => {
        impl Handle {
            $(pub(crate) fn $call(&self, $($arg: $of),*) -> $request {
                match self {
                    Self::Here(deriva) => $request::Here(deriva.$call($($arg),*)),
                    Self::There { client, .. } => $request::There(client.$call($($arg),*)),
                }
            })+
        }
    };
}

begun! {
    fn materialize(addr: CAddr) -> Materialize;
    fn materialize_many(addrs: impl IntoIterator<Item = CAddr>) -> Materialize;
    fn graph(addr: CAddr) -> GraphWalk;
    fn invalidate(addr: CAddr) -> Invalidate;
    fn invalidate_function(function: &FunctionId) -> Invalidate;
    fn collect() -> Collect;
    fn scrub() -> Scrub;
    fn audit() -> Audit;
}
