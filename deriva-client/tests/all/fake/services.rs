//! The services of the protocol, each method as a test says.

use deriva_proto::v1;
use tonic::{Request, Response, Status, async_trait};

use super::{Answers, Seen, Sent, Streamed, Unary};

/// A service, and where its calls are noted.
pub(crate) struct Watched<S>(pub(crate) S, pub(crate) Seen);

/// A service: its methods with one answer, and those with a stream of them, whose type is named as well.
macro_rules! service {
    (
        $name:ident: $module:ident::$service:ident
        { $($unary:ident: $asked:ty => $answer:ident,)* }
        { $($streamed:ident, $stream:ident: $wanted:ident => $each:ident,)* }
    ) => {
        #[derive(Default)]
        pub(crate) struct $name {
            $(pub(crate) $unary: Unary<$asked, v1::$answer>,)*
            $(pub(crate) $streamed: Streamed<v1::$wanted, v1::$each>,)*
        }

        #[async_trait]
        impl v1::$module::$service for Watched<$name> {
            $(async fn $unary(&self, request: Request<$asked>) -> Result<Response<v1::$answer>, Status> {
                let (name, asked) = (stringify!($unary), request.metadata().clone());
                self.1.lock().unwrap().push((name, asked));
                match &self.0.$unary {
                    Some(answer) => answer(request.into_inner()).await.map(Response::new),
                    None => v1::$answer::unasked(name).map(Response::new),
                }
            })*

            $(type $stream = Answers<v1::$each>;

            async fn $streamed(&self, request: Request<v1::$wanted>) -> Result<Response<Self::$stream>, Status> {
                let (name, asked) = (stringify!($streamed), request.metadata().clone());
                self.1.lock().unwrap().push((name, asked));
                match &self.0.$streamed {
                    Some(answer) => answer(request.into_inner()).await.map(Response::new),
                    None => Err(Status::unimplemented(name)),
                }
            })*
        }
    };
}

/// What a method answers of which the test says nothing.
trait Unasked: Sized {
    fn unasked(method: &'static str) -> Result<Self, Status> {
        Err(Status::unimplemented(method))
    }
}

macro_rules! unasked {
    ($($answer:ident),*) => { $(impl Unasked for v1::$answer {})* };
}

unasked!(
    PutResponse,
    StatResponse,
    MissingResponse,
    VerifyResponse,
    RemoveBlobsResponse,
    FlushBlobsResponse,
    InsertResponse,
    OutputsResponse,
    RecordResponse,
    ForgetResponse,
    RemoveRecipesResponse,
    FindResponse,
    ShowResponse,
    StatesResponse,
    FunctionsResponse,
    SetRootResponse,
    RemoveRootResponse,
    FlushGraphResponse,
    WhyResponse,
    InvalidateResponse,
    ReleaseResponse,
    QuarantineResponse,
    StatusResponse,
    DigestResponse
);

/// What a store can do that keeps all promises.
fn capabilities() -> v1::Capabilities {
    let found = deriva_api::Capabilities::new(deriva_api::DurabilityClass::PowerLoss);
    found.into()
}

impl Unasked for v1::BlobUsageResponse {
    fn unasked(_: &'static str) -> Result<Self, Status> {
        Ok(Self {
            usage: Some(v1::BlobUsage { blobs: 3, bytes: 5 }),
            capabilities: Some(capabilities()),
        })
    }
}

impl Unasked for v1::GraphUsageResponse {
    fn unasked(_: &'static str) -> Result<Self, Status> {
        Ok(Self {
            usage: None,
            capabilities: Some(capabilities()),
        })
    }
}

service! {
    Blobs: blobs_server::Blobs
    {
        put: Sent => PutResponse,
        stat: v1::StatRequest => StatResponse,
        missing: v1::MissingRequest => MissingResponse,
        verify: v1::VerifyRequest => VerifyResponse,
        remove: v1::RemoveBlobsRequest => RemoveBlobsResponse,
        usage: v1::BlobUsageRequest => BlobUsageResponse,
        flush: v1::FlushBlobsRequest => FlushBlobsResponse,
    }
    {
        get, GetStream: GetBlobRequest => GetBlobResponse,
        list, ListStream: ListBlobsRequest => ListBlobsResponse,
    }
}

service! {
    Graph: graph_server::Graph
    {
        insert: v1::InsertRequest => InsertResponse,
        outputs: v1::OutputsRequest => OutputsResponse,
        record: v1::RecordRequest => RecordResponse,
        forget: v1::ForgetRequest => ForgetResponse,
        remove: v1::RemoveRecipesRequest => RemoveRecipesResponse,
        find: v1::FindRequest => FindResponse,
        show: v1::ShowRequest => ShowResponse,
        states: v1::StatesRequest => StatesResponse,
        functions: v1::FunctionsRequest => FunctionsResponse,
        set_root: v1::SetRootRequest => SetRootResponse,
        remove_root: v1::RemoveRootRequest => RemoveRootResponse,
        usage: v1::GraphUsageRequest => GraphUsageResponse,
        flush: v1::FlushGraphRequest => FlushGraphResponse,
    }
    {
        get, GetStream: GetNodesRequest => GetNodesResponse,
        dependents, DependentsStream: DependentsRequest => AddrsResponse,
        by_function, ByFunctionStream: ByFunctionRequest => AddrsResponse,
        list, ListStream: ListNodesRequest => ListNodesResponse,
        walk, WalkStream: WalkRequest => WalkResponse,
        roots, RootsStream: RootsRequest => RootsResponse,
    }
}

service! {
    Materialize: materialize_server::Materialize
    { why: v1::WhyRequest => WhyResponse, }
    {
        run, RunStream: RunRequest => RunResponse,
        lease, LeaseStream: LeaseRequest => LeaseResponse,
        explain, ExplainStream: ExplainRequest => ExplainResponse,
        diff, DiffStream: DiffRequest => DiffResponse,
    }
}

service! {
    Admin: admin_server::Admin
    {
        invalidate: v1::InvalidateRequest => InvalidateResponse,
        release: v1::ReleaseRequest => ReleaseResponse,
        quarantine: v1::QuarantineRequest => QuarantineResponse,
        status: v1::StatusRequest => StatusResponse,
        digest: v1::DigestRequest => DigestResponse,
    }
    {
        collect, CollectStream: CollectRequest => CollectResponse,
        scrub, ScrubStream: ScrubRequest => ScrubResponse,
        audit, AuditStream: AuditRequest => AuditResponse,
        ledger, LedgerStream: LedgerRequest => LedgerResponse,
    }
}
