//! Faults of the runtime itself, one line each, that are compiled in here and switched on one at a time: each must
//! fail a test that is named beside it. What they are is told where they are declared, in
//! `deriva-runtime/src/planted.rs`.
//!
//! The tests named are ordinary tests of this binary, which hold without a fault.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod acknowledged;
mod collected;
mod damaged;
mod given_back;
mod joined;
mod simulated;
#[path = "../simulation/run.rs"]
mod simulation;
mod steps;

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use deriva_runtime::planted::{ALL, SWITCH};

/// Says which test must notice which fault: makes `NOTICED`, and a test for each.
macro_rules! noticed {
    ($($test:path: $($fault:ident),+;)+) => {
        const NOTICED: &[&str] = &[$($(stringify!($fault)),+),+];

        mod is_noticed {
            $($(#[test]
            fn $fault() {
                super::must_fail(stringify!($fault), stringify!($test));
            })+)+
        }
    };
}

noticed! {
    acknowledged::an_error_of_the_store_is_told: put_hides_the_error, insert_hides_the_error, set_root_hides_the_error,
        takes_a_failed_batch_for_written, flushes_blobs_alone;
    acknowledged::a_dropped_request_stores_what_it_computed: writes_nothing_of_a_dropped_request;
    acknowledged::an_invalidation_forgets_what_was_on_its_way: forgets_before_writes_are_through;
    acknowledged::an_invalidation_is_done_when_it_says_so: forgets_all_but_the_last_batch;
    acknowledged::what_is_forgotten_is_served_from_nowhere: serves_what_was_forgotten;
    acknowledged::a_collection_is_done_when_it_says_so: counts_a_batch_before_it_is_taken;
    acknowledged::a_collection_removes_no_blob_before_the_graph_is_flushed: removes_blobs_without_a_flush;
    acknowledged::a_collection_removes_no_blob_before_its_output_is_forgotten: removes_blobs_before_their_outputs;
    acknowledged::what_a_scrub_healed_is_stored: heals_what_it_could_not_make;
    simulated::seeds_of_the_simulation: acknowledges_after_the_first_batch, acknowledges_before_the_last_batch,
        lands_before_it_writes, takes_a_failed_put_for_done, stores_nothing_that_it_healed, keeps_dropped_leases,
        keeps_the_journal, keeps_an_index, keeps_the_inputs_of_what_it_gives_up, keeps_the_inputs_of_what_is_done,
        keeps_the_bytes_of_values, keeps_the_bytes_of_accounts, pays_back_twice, keeps_the_slot_of_a_failed_step,
        keeps_tickets, keeps_the_flights_of_a_dropped_request, keeps_resolved_flights, keeps_the_resolved_flight_of_a_failure,
        forgets_what_it_claimed, keeps_the_claims_of_a_failed_plan, keeps_watches, keeps_invalidations, keeps_pins,
        keeps_a_permit, tells_nobody_of_failures, fails_with_the_leader, records_before_it_stores;
    damaged::a_put_replaces_what_is_damaged: puts_over_damage;
    damaged::what_is_opened_is_whole: opens_what_is_damaged;
    damaged::what_a_read_found_damaged_is_made_again: believes_what_is_remembered;
    damaged::a_scrub_reads_what_is_remembered: scrubs_by_memory;
    given_back::a_nested_wait_is_noted_while_it_lasts: keeps_nested_waits;
    joined::a_step_ends_with_the_last_who_waits_for_it: lets_steps_run_on;
    joined::a_timeout_of_the_leader_is_not_that_of_who_joined: hands_a_timeout_on;
    joined::a_timeout_of_a_step_that_was_handed_over_is_not_that_of_who_joined: hands_the_timeout_of_a_step_on;
    joined::what_comes_of_a_step_that_was_handed_over_reaches_who_joined: lands_nothing_that_was_handed_over;
    joined::what_the_leader_does_not_store_the_joiner_does: stores_nothing_that_it_joined;
    joined::who_asks_after_an_invalidation_is_handed_nothing_from_before: hands_a_refused_batch_on,
        hands_on_what_was_forgotten, refuses_nothing;
    joined::what_is_carried_over_goes_where_something_was_forgotten: carries_over_what_was_forgotten;
    collected::what_is_put_again_stays: put_leases_nothing, put_reader_notes_nothing;
    collected::what_an_insert_under_way_needs_stays: insert_leases_no_inputs;
    collected::what_is_rooted_or_leased_stays: set_root_leases_nothing, takes_what_was_met_since;
    collected::what_is_leased_at_the_last_moment_stays: does_not_look_again;
    collected::a_blob_that_is_rooted_at_the_last_moment_stays: takes_blobs_that_were_named_since;
    collected::what_is_leased_before_a_quota_drops_it_stays: drops_what_was_leased_since;
    collected::what_a_request_needs_stays: a_request_leases_nothing;
    collected::what_is_being_recorded_stays: leases_nothing_that_it_records;
    collected::what_is_got_stays_until_it_is_read: get_leases_nothing;
    collected::a_reader_keeps_what_it_reads: a_reader_leases_nothing;
}

/// Runs a test of this binary in a process of its own, with a fault switched on.
fn must_fail(fault: &str, test: &str) {
    let test = test.replace(' ', "");
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &test, "--nocapture", "--test-threads=1"]);
    let done = command
        .env(SWITCH, fault)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&done.stdout);
    assert!(
        told.contains("running 1 test"),
        "there is no test {test}:\n{told}"
    );
    assert!(!done.status.success(), "nothing notices {fault} in {test}");
}

#[test]
fn every_fault_is_noticed_somewhere() {
    let (planted, noticed): (BTreeSet<&str>, BTreeSet<&str>) = (
        ALL.iter().map(|(name, _)| *name).collect(),
        NOTICED.iter().copied().collect(),
    );
    assert_eq!(planted, noticed);
    assert!(ALL.iter().all(|(_, breaks)| breaks.trim().ends_with('.')));
}
