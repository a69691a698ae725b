//! Opens what a loss of power left, holds it against what was acknowledged, and goes on with it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::result::Result;

use deriva_api::{CAddr, DagStoreExt, ErrorKind};
use futures::TryStreamExt;

use super::check::{Answer, OPENED, Question, Verdict};
use super::history::{History, histories};
use super::perform::{Items, make};
use super::scenario::{Act, Script};
use crate::proof::Broken;
use crate::proof::item::{Item, Parts, Step};
use crate::proof::oracle::{Counted, Found};
use crate::proof::program::tell;
use crate::proof::store::{Provable, Stores};

/// Items that are written once all was checked: one with a large blob, and two that are removed again.
const NEW: std::ops::Range<u64> = 900..904;

/// What each item may look like, and what it does look like.
struct Look<'a> {
    items: &'a mut Items,
    histories: BTreeMap<u64, History>,
    found: BTreeMap<u64, Parts>,
}

/// The error is an answer, too.
pub(super) async fn look(
    store: &dyn Provable,
    question: &Question,
    items: &mut Items,
) -> Result<Answer, Answer> {
    let place = &question.place;
    let stores = open(store, place).await?;
    tell(OPENED);
    let class = stores.blobs.capabilities().durability;
    let script = Script::of(question.scenario, stores.dag.is_some());
    let mut look = Look {
        items,
        histories: histories(&script, &question.progresses, class, question.killed),
        found: BTreeMap::new(),
    };
    let torn = look.heal(&stores).await?;
    look.hold(&stores).await?;
    look.whole_batches(&script, question)?;
    let all = look.histories.iter().all(|(n, history)| {
        let acknowledged = History {
            required: history.acknowledged,
            ..history.clone()
        };
        acknowledged.matching(look.found[n]).next().is_some()
    });
    look.go_on(&script, question, &stores).await?;
    look.hold(&stores)
        .await
        .map_err(|answer| answer.when("after going on"))?;
    drop(stores);
    let again = "at the next opening";
    let stores = open(store, place)
        .await
        .map_err(|answer| answer.when(again))?;
    look.hold(&stores)
        .await
        .map_err(|answer| answer.when(again))?;
    Ok(Answer {
        all,
        torn,
        ..Answer::of(Verdict::Ok, "")
    })
}

/// The calls that had begun.
fn begun<'a>(script: &'a Script, question: &'a Question) -> impl Iterator<Item = &'a Act> {
    let acts = script.acts();
    let begun = acts.filter(|(thread, at, _)| *at < question.progresses.of(*thread).begun);
    begun.map(|(.., act)| act)
}

async fn open(store: &dyn Provable, place: &Path) -> Result<Stores, Answer> {
    let refused = |why| Answer::of(Verdict::Refused, why);
    if !store.makes_folder() {
        std::fs::create_dir_all(place).map_err(|error| refused(error.to_string()))?;
    }
    let opened = Stores::open(store, place).await;
    opened.map_err(|error| refused(format!("{error:?}")))
}

impl Look<'_> {
    /// A blob that need not be there may be there in part. Then a `put` stores it.
    async fn heal(&mut self, stores: &Stores) -> Result<usize, Answer> {
        let mut torn = 0;
        for (n, history) in &self.histories {
            if !history.steps[history.required..].contains(&Step::Put) {
                continue;
            }
            let blob = &self.items.get(*n).map_err(Answer::wrong)?.blob;
            match stores.blobs.get(blob.addr()).await {
                Err(error) if error.kind() == ErrorKind::Corrupt => {}
                _ => continue,
            }
            torn += 1;
            let put = stores.blobs.put(std::slice::from_ref(blob)).await;
            put.map_err(|error| Answer::wrong(error).when("a put of a torn blob"))?;
            match stores.blobs.get(blob.addr()).await {
                Ok(Some(found)) if found == *blob => {}
                other => {
                    let why = format!("a torn blob was put again, and is answered with {other:?}");
                    return Err(Answer::of(Verdict::Lost, why));
                }
            }
        }
        Ok(torn)
    }

    /// Everything that is there is as it may be.
    async fn hold(&mut self, stores: &Stores) -> Result<(), Answer> {
        match self.compare(stores).await {
            Ok(()) => Ok(()),
            Err(broken) => {
                let verdict = match self.lost(stores).await {
                    true => Verdict::Lost,
                    false => Verdict::Wrong,
                };
                Err(Answer::of(verdict, broken.to_string()))
            }
        }
    }

    async fn compare(&mut self, stores: &Stores) -> Result<(), Broken> {
        let found = Found::read(stores).await?;
        let mut counted = Counted::default();
        let mut numbers: BTreeSet<u64> = self.histories.keys().copied().collect();
        numbers.extend(&found.numbers);
        for n in numbers {
            let item = self.items.get(n)?;
            let parts = found.parts(&item, stores).await?;
            let history = self.histories.entry(n).or_default();
            if history.matching(parts).next().is_none() {
                let (required, begun) = history.steps.split_at(history.required);
                return Err(Broken::new(format!(
                    "item {n} has {parts:?} after {required:?} and perhaps {begun:?}"
                )));
            }
            counted.add(&item, parts);
            self.found.insert(n, parts);
        }
        found.agree(&counted, stores).await
    }

    /// Whether something that must be there is not, or is not to be had.
    async fn lost(&mut self, stores: &Stores) -> bool {
        for (n, history) in &self.histories {
            let certain = history.certain();
            let Ok(item) = self.items.get(*n) else {
                continue;
            };
            let blob = stores.blobs.get(item.blob.addr()).await;
            if certain.blob && !matches!(blob, Ok(Some(_))) {
                return true;
            }
            let Some(dag) = &stores.dag else { continue };
            let node = dag.get_one(item.first()).await;
            let roots: Result<Vec<(String, CAddr)>, _> = dag.roots(None).try_collect().await;
            let node = node.ok().flatten();
            if certain.recipes && node.is_none()
                || certain.output && node.is_none_or(|node| node.output.is_none())
                || certain.root
                    && roots.map_or(true, |roots| {
                        roots.iter().all(|(root, _)| *root != item.root)
                    })
            {
                return true;
            }
        }
        false
    }

    /// What was under way as one batch is there for all of its items or for none.
    fn whole_batches(&self, script: &Script, question: &Question) -> Result<(), Answer> {
        for act in begun(script, question) {
            let Act::Make(step, items) = act else {
                continue;
            };
            let part = |n: &u64| match step {
                Step::Insert | Step::Remove => self.found[n].recipes,
                Step::Record | Step::Forget => self.found[n].output,
                _ => false,
            };
            // Items that went the same way: others were perhaps changed by another batch since.
            let ways: BTreeSet<&[Step]> = items.iter().map(|n| &*self.histories[n].steps).collect();
            let parts: BTreeSet<(&[Step], bool)> = items
                .iter()
                .map(|n| (&*self.histories[n].steps, part(n)))
                .collect();
            if parts.len() > ways.len() {
                let why = format!("half a batch: {step:?} of {} items", items.len());
                return Err(Answer::of(Verdict::Wrong, why));
            }
        }
        Ok(())
    }

    /// Makes again what was under way and is not there, then writes new items.
    async fn go_on(
        &mut self,
        script: &Script,
        question: &Question,
        stores: &Stores,
    ) -> Result<(), Answer> {
        // How many steps of each item are there, and where in its history each call stands.
        let mut there = BTreeMap::new();
        for (n, parts) in &self.found {
            there.insert(
                *n,
                self.histories[n]
                    .matching(*parts)
                    .next()
                    .unwrap_or_default(),
            );
        }
        let mut passed: BTreeMap<u64, usize> = BTreeMap::new();
        for act in begun(script, question) {
            let Act::Make(step, items) = act else {
                continue;
            };
            let mut missing = false;
            for n in items {
                let place = passed.entry(*n).or_default();
                missing |= *place >= there[n];
                *place += 1;
            }
            if missing {
                let made = make(act, self.items, stores).await;
                let when = format!("{step:?}, which was under way, again");
                made.map_err(|error| Answer::wrong(error).when(&when))?;
            }
        }
        for history in self.histories.values_mut() {
            history.required = history.steps.len();
        }
        for n in NEW {
            let steps = Item::life(n, stores.dag.is_some());
            for step in &steps {
                let made = make(&Act::Make(*step, vec![n]), self.items, stores).await;
                made.map_err(|error| Answer::wrong(error).when("a new item"))?;
            }
            let required = steps.len();
            self.histories.insert(
                n,
                History {
                    steps,
                    required,
                    acknowledged: required,
                },
            );
        }
        let flushed = stores.flush().await;
        flushed.map_err(|error| Answer::wrong(error).when("flush"))
    }
}

impl Answer {
    fn wrong(error: deriva_api::Error) -> Self {
        Self::of(Verdict::Wrong, format!("{error:?}"))
    }

    fn when(mut self, when: &str) -> Self {
        self.why = format!("{when}: {}", self.why);
        self
    }
}
