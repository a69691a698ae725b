//! More than any cache of a given size can save.

use super::trace::{Key, Trace};

/// An upper bound of the sum of `value` over all hits, whatever the policy, also one that knows the
/// future and may refuse entries. It is PFOO-U of D. S. Berger, N. Beckmann, M. Harchol-Balter
/// ("Practical Bounds on Optimal Caching with Variable Object Sizes", 2018), with a value for each
/// hit instead of 1: to hit, an entry has to take its bytes from one request for it to the next. A
/// real cache keeps below its limit at every moment; the bound only keeps below it on average over
/// the trace, and may hold a part of an entry.
pub(crate) fn saved_at_most(trace: &Trace, limit: u64, value: impl Fn(&Key) -> f64) -> f64 {
    let mut last = vec![None; trace.keys.len()];
    let mut gaps = Vec::new();
    for (now, key) in trace.accesses.iter().enumerate() {
        let of = &trace.keys[*key as usize];
        if let Some(before) = last[*key as usize].replace(now) {
            gaps.push(((now - before) as f64 * of.size() as f64, value(of)));
        }
    }
    gaps.sort_by(|a, b| (b.1 / b.0).total_cmp(&(a.1 / a.0)));
    let mut room = limit as f64 * trace.accesses.len() as f64;
    let mut saved = 0.0;
    for (space, value) in gaps {
        let part = (room / space).min(1.0);
        saved += part * value;
        room -= part * space;
        if room <= 0.0 {
            break;
        }
    }
    saved
}
