//! Functions that take long look whether they are still wanted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ::bytes::Bytes;
use deriva_api::{CallContext, Clock, ErrorKind, Params, async_trait};

use super::{run, with};

/// Goes on by a second whenever it is looked at.
#[derive(Debug, Default)]
struct Looked(AtomicU64);

#[async_trait]
impl Clock for Looked {
    fn now(&self) -> Duration {
        Duration::from_secs(self.0.fetch_add(1, Ordering::Relaxed))
    }

    async fn sleep(&self, _: Duration) {}
}

/// How a call ends that has time for N looks; and how often it looked.
fn call(id: &str, input: &Bytes, params: &Params, looks: u64) -> (Option<ErrorKind>, u64) {
    let functions = crate::builtin();
    let function = functions.get(&id.parse().unwrap()).unwrap();
    let clock = Arc::new(Looked::default());
    let context = CallContext::new(clock.clone(), Some(Duration::from_secs(looks)));
    let inputs = std::slice::from_ref(input);
    let ended = function.call_within(inputs, params, &context);
    (
        ended.err().map(|error| error.kind()),
        clock.0.load(Ordering::Relaxed) - 1,
    )
}

#[test]
fn decompressing_and_burning_end_between_pieces_when_the_time_is_over() {
    let zeros = vec![0_u8; 8 << 20];
    let packed = |name| run(name, &[&zeros], Params::new()).unwrap();
    let none = Params::new();
    for (id, input, params) in [
        ("compress.unzstd/1", packed("compress.zstd"), none.clone()),
        ("compress.gunzip/1", packed("compress.gzip"), none.clone()),
        ("compress.gunzip/2", packed("compress.gzip"), none),
        ("bench.burn/1", Bytes::new(), with("units", 9)),
    ] {
        // Eight pieces and the end after them, or nine units.
        assert_eq!(call(id, &input, &params, 1000), (None, 9), "{id}");
        let late = (Some(ErrorKind::Timeout), 4);
        assert_eq!(call(id, &input, &params, 4), late, "{id}");
    }
}

#[test]
fn what_is_given_up_before_it_begins_does_nothing() {
    let context = CallContext::new(Arc::new(Looked::default()), None);
    context.cancel();
    let functions = crate::builtin();
    let burn = functions.lookup("bench.burn", "1").unwrap();
    // A quarter of an hour, if it ran.
    let ended = burn.call_within(&[], &with("units", 1_000_000), &context);
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::Cancelled);
}
