//! How far audits are, while they are under way and when one is stopped.

use futures::FutureExt;

use super::{LONG, Seen, Shown, apply, builder, waiting};

/// An audit that is stopped in the middle has counted what it looked at until then.
pub(super) async fn stopped_half_way(seen: &mut Seen) {
    let (builder, begun, next) = waiting(builder().perturb(false));
    let deriva = builder.build().await.unwrap();
    for number in 0..3 {
        let input = deriva.put(format!("input {number}")).await.unwrap();
        let addr = apply(&deriva, "wait", &[input]).await;
        next.send(()).unwrap();
        deriva.materialize(addr).await.unwrap();
        begun.notified().now_or_never().unwrap();
    }
    let begins = async || {
        tokio::time::timeout(LONG, begun.notified()).await.unwrap();
    };
    let audit = tokio::spawn(deriva.audit().into_future());
    begins().await;
    Shown::of(&deriva).await.are(
        seen,
        &[
            ("deriva_audits_active", 1.0),
            ("deriva_audit_outputs_total agreed", 0.0),
        ],
    );
    next.send(()).unwrap();
    begins().await;
    // The second is computed, as there is one job: the first was compared.
    let half_way = [
        ("deriva_audit_outputs_total agreed", 1.0),
        ("deriva_audit_outputs_total violated", 0.0),
        ("deriva_audit_outputs_total skipped", 0.0),
        ("deriva_determinism_checks_total audit agreed", 1.0),
    ];
    Shown::of(&deriva).await.are(seen, &half_way);
    audit.abort();
    assert!(audit.await.unwrap_err().is_cancelled());
    drop(next);
    let shown = Shown::of(&deriva).await;
    shown.are(seen, &half_way);
    shown.are(
        seen,
        &[
            ("deriva_audits_active", 0.0),
            ("deriva_audits_total cancelled", 1.0),
            ("deriva_audits_total done", 0.0),
        ],
    );
}
