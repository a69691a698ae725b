//! Faults of the runtime itself, planted on purpose: each is a line that is wrong while its switch is on.
//!
//! They exist with the feature `planted` only; without it `planted` is `false` at compile time. A test switches
//! one on by the environment variable [`SWITCH`] of a process of its own, and holds that the process fails: a
//! fault that nothing notices is a hole in the suite. `conformance/tests/planted/` names who must notice each.

use deriva_api::{Error, Result};

/// The environment variable that names the fault which is on.
pub const SWITCH: &str = "DERIVA_PLANTED";

/// Defines the faults, and the list of all.
macro_rules! faults {
    ($($(#[doc = $breaks:literal])+ $name:ident,)+) => {
        /// What is wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(non_camel_case_types, reason = "a fault is named as the test that holds it to be noticed")]
        pub enum Fault {
            $($(#[doc = $breaks])+ $name,)+
        }

        /// The name of each fault, and what is wrong.
        pub const ALL: &[(&str, &str)] = &[$((stringify!($name), concat!($($breaks),+))),+];

        #[cfg(feature = "planted")]
        fn named(name: &str) -> Option<Fault> {
            $(if name == stringify!($name) {
                return Some(Fault::$name);
            })+
            None
        }
    };
}

faults! {
    // Acknowledged before it is durable.
    /// A request is answered when the first of its last batches is written.
    acknowledges_after_the_first_batch,
    /// A request is answered while its last batch waits.
    acknowledges_before_the_last_batch,
    /// Flights land before their batch is written.
    lands_before_it_writes,
    /// A batch that could not be written counts as written.
    takes_a_failed_batch_for_written,
    /// Outputs are recorded although their blobs could not be stored.
    takes_a_failed_put_for_done,
    /// Outputs are recorded before their blobs are stored.
    records_before_it_stores,
    /// What was computed by a dropped request is not written.
    writes_nothing_of_a_dropped_request,
    /// A result that another request computed and did not store is not stored by the one that joined it.
    stores_nothing_that_it_joined,
    /// An output that was lost and made again is not stored.
    stores_nothing_that_it_healed,
    /// `put` answers Ok whatever the store says.
    put_hides_the_error,
    /// `insert` answers Ok whatever the store says.
    insert_hides_the_error,
    /// `set_root` answers Ok whatever the store says.
    set_root_hides_the_error,
    /// `flush` leaves out the graph.
    flushes_blobs_alone,
    /// An invalidation is answered before its last batch is forgotten.
    forgets_all_but_the_last_batch,
    /// An invalidation does not wait for the batches that were let through before it.
    forgets_before_writes_are_through,
    /// A collection goes on while a batch is being taken.
    counts_a_batch_before_it_is_taken,
    /// A collection removes blobs before the loss of their outputs is durable.
    removes_blobs_without_a_flush,
    /// A collection removes blobs before their outputs are forgotten.
    removes_blobs_before_their_outputs,
    /// A scrub counts as healed what could not be made again.
    heals_what_it_could_not_make,

    // Damage that is met and stays.
    /// A put leaves a damaged copy in place, which then counts as stored.
    puts_over_damage,
    /// A reader is opened without a look at what it reads.
    opens_what_is_damaged,
    /// A blob that a read found damaged stays where the store remembers it as right.
    believes_what_is_remembered,
    /// A scrub takes for read what the store only remembers.
    scrubs_by_memory,

    // Not given back.
    /// What is being recorded is not leased.
    leases_nothing_that_it_records,
    /// A lease that is dropped stays.
    keeps_dropped_leases,
    /// The journal of a collection stays.
    keeps_the_journal,
    /// An index of a collection stays.
    keeps_an_index,
    /// A recipe that is given up does not let go of its inputs.
    keeps_the_inputs_of_what_it_gives_up,
    /// A recipe that is done does not let go of its inputs.
    keeps_the_inputs_of_what_is_done,
    /// A value that goes does not give its bytes back.
    keeps_the_bytes_of_values,
    /// What is left on an account that is dropped stays on the budget.
    keeps_the_bytes_of_accounts,
    /// A value that is taken back from the budget is added again.
    pays_back_twice,
    /// A request that ends goes on to be one that may ask for slots.
    keeps_tickets,
    /// A step that fails keeps its slot.
    keeps_the_slot_of_a_failed_step,
    /// A request that is dropped keeps its flights.
    keeps_the_flights_of_a_dropped_request,
    /// A request that is dropped keeps the flights of resolved recipes.
    keeps_resolved_flights,
    /// A failure lands no flight of a resolved recipe.
    keeps_the_resolved_flight_of_a_failure,
    /// The resolved recipes that a look-up claims are nobody's to land.
    forgets_what_it_claimed,
    /// A plan that cannot be carried out keeps what it claimed.
    keeps_the_claims_of_a_failed_plan,
    /// A request that is dropped does not stop its steps.
    lets_steps_run_on,
    /// A watch that ends is counted on.
    keeps_watches,
    /// An invalidation is held for ever.
    keeps_invalidations,
    /// What a nested request waited for stays noted.
    keeps_nested_waits,
    /// What was pinned stays pinned.
    keeps_pins,
    /// The permission to add is kept where a look-up fails.
    keeps_a_permit,

    // Handed to those who wait.
    /// That a request ran out of time is told to those who joined it as a failure.
    hands_a_timeout_on,
    /// The same, by a step that was handed over.
    hands_the_timeout_of_a_step_on,
    /// A step whose request is gone tells nobody how it ended.
    lands_nothing_that_was_handed_over,
    /// A failure is told to nobody who waits.
    tells_nobody_of_failures,
    /// Who waits for a request that gives up fails.
    fails_with_the_leader,
    /// A batch that was refused is handed to those who wait as if it were recorded.
    hands_a_refused_batch_on,
    /// What is not recorded is handed on although something was forgotten.
    hands_on_what_was_forgotten,
    /// Results that are carried over to a new plan stay although something was forgotten.
    carries_over_what_was_forgotten,
    /// What is forgotten stays in the memory cache.
    serves_what_was_forgotten,
    /// What relies on a forgotten output is recorded.
    refuses_nothing,

    // Not kept from collection.
    /// `put` leases nothing.
    put_leases_nothing,
    /// `put_reader` does not tell a collection of its blob.
    put_reader_notes_nothing,
    /// `insert` leases no inputs.
    insert_leases_no_inputs,
    /// `set_root` leases nothing.
    set_root_leases_nothing,
    /// A request leases nothing that was asked for.
    a_request_leases_nothing,
    /// `get` lets go of what was made available for it before it has read that.
    get_leases_nothing,
    /// A reader lets go of what it reads.
    a_reader_leases_nothing,
    /// A collection does not look again once nobody adds any more.
    does_not_look_again,
    /// A collection takes what was met since it was found.
    takes_what_was_met_since,
    /// A collection takes a blob that was named since it was found unreferenced.
    takes_blobs_that_were_named_since,
    /// A quota drops what was leased since it was chosen.
    drops_what_was_leased_since,
}

/// Whether this fault is on.
#[cfg(feature = "planted")]
#[inline]
pub(crate) fn planted(fault: Fault) -> bool {
    static ON: std::sync::OnceLock<Option<Fault>> = std::sync::OnceLock::new();
    let on = ON.get_or_init(|| std::env::var(SWITCH).ok().and_then(|name| named(&name)));
    *on == Some(fault)
}

/// Whether this fault is on: never.
#[cfg(not(feature = "planted"))]
#[inline(always)]
pub(crate) const fn planted(_: Fault) -> bool {
    false
}

/// What becomes of an error that this fault hides.
pub(crate) fn hidden<T: Default>(fault: Fault, error: Error) -> Result<T> {
    match planted(fault) {
        true => Ok(T::default()),
        false => Err(error),
    }
}
