//! One store, and what its recipes give now.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use deriva::determinism::{AuditEvent, Violation};
use deriva::{CAddr, Deriva, Result};
use indicatif::ProgressBar;

use super::told::{Bisected, Culprit};
use crate::exit::{Outcome, usage};
use crate::term::bar;
use crate::verbs::audit;

/// Recipes of which nothing can be said that are listed, as many as between two stores.
const LISTED: usize = 100;

/// What audits told. Recipes that several targets need are told of by each.
#[derive(Debug, Default)]
struct Heard {
    violations: BTreeMap<CAddr, Arc<Violation>>,
    unknown: BTreeSet<CAddr>,
}

/// Compares what is recorded of these recipes, or of those that roots name, with what they give now.
pub(super) async fn anew(deriva: &Deriva, targets: Vec<CAddr>, jobs: usize) -> Outcome<Bisected> {
    let targets = match targets.is_empty() {
        true => rooted(deriva).await?,
        false => targets,
    };
    let (heard, bar) = (Arc::default(), bar());
    let audited = audit_each(deriva, targets, jobs, &heard, &bar).await;
    bar.finish_and_clear();
    let mut done = audited?;
    let heard = std::mem::take(&mut *lock(&heard));
    done.differing = heard.violations.len() as u64;
    let violations = heard.violations.values();
    done.culprits = violations.filter_map(|it| Culprit::seen(it)).collect();
    done.unknown = heard.unknown.into_iter().take(LISTED).collect();
    Ok(done)
}

async fn audit_each(
    deriva: &Deriva,
    targets: Vec<CAddr>,
    jobs: usize,
    heard: &Arc<Mutex<Heard>>,
    bar: &ProgressBar,
) -> Result<Bisected> {
    let mut done = Bisected::default();
    for target in targets {
        let (shown, heard) = (bar.clone(), Arc::clone(heard));
        let audit = deriva.audit().addr(target).jobs(jobs).dry_run();
        let audited = audit.progress(move |event| {
            audit::show(&shown, event);
            let mut heard = lock(&heard);
            match event {
                AuditEvent::Violated { addr, violation } => {
                    heard.violations.insert(*addr, Arc::clone(violation));
                }
                AuditEvent::Skipped { addr, .. } => drop(heard.unknown.insert(*addr)),
                _ => {}
            }
        });
        let audited = audited.await?;
        done.compared += audited.audited;
        done.seconds += audited.seconds;
    }
    Ok(done)
}

// What was heard has no half-done state, so a panic elsewhere does not spoil it.
fn lock(heard: &Mutex<Heard>) -> std::sync::MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The recipes that roots name.
async fn rooted(deriva: &Deriva) -> Outcome<Vec<CAddr>> {
    let roots = deriva.roots().await?.into_iter().map(|(_, addr)| addr);
    let mut addrs: Vec<CAddr> = roots.collect();
    addrs.sort_unstable();
    addrs.dedup();
    let there = deriva.dag().get_many(&addrs).await?;
    let recipes = addrs.into_iter().zip(there);
    let recipes = recipes.filter_map(|(addr, node)| node.map(|_| addr));
    let recipes: Vec<CAddr> = recipes.collect();
    match recipes.is_empty() {
        false => Ok(recipes),
        true => Err(usage("no root of the store names a recipe")
            .hint("say which addresses are to be compared")
            .into()),
    }
}
