//! All mutants: what is broken, and the case that must catch it.

use super::{Kind, Mutant};

/// Declares mutants: the sentence says what is broken, the name behind the arrow is the case that must
/// catch it. Makes `Break`, `MUTANTS`, and the macro `each_mutant` that turns each into a test.
macro_rules! mutants {
    ($d:tt $($section:ident as $kind:ident {
        $($(#[doc = $breaks:literal])+ $name:ident => $case:ident,)+
    })+) => {
        /// The one thing that is broken.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(non_camel_case_types, reason = "a break is named as its mutant and its test are")]
        pub(super) enum Break {
            $($($(#[doc = $breaks])+ $name,)+)+
        }

        /// All mutants, in order.
        pub(super) const MUTANTS: &[Mutant] = &[$($(Mutant {
            name: stringify!($name),
            breaks: concat!($($breaks),+).trim_ascii(),
            caught_by: stringify!($case),
            kind: Kind::$kind,
            how: Break::$name,
        },)+)+];

        /// Calls a macro with each name, in a module for each section.
        #[macro_export]
        macro_rules! each_mutant {
            ($d test:ident) => {
                $(mod $section { use super::*; $($d test! { $name })+ })+
            };
        }
    };
}

mutants! { $
    blobs as Store {
        /// A blob of exactly 16 KiB is not stored.
        loses_blobs_at_a_threshold => blobs_of_every_size_round_trip,
        /// `stat` rounds lengths up to pages.
        counts_lengths_in_pages => blobs_of_every_size_round_trip,
        /// An offset is taken modulo 16 MiB.
        wraps_offsets_at_16_mib => a_large_blob_round_trips,
        /// A writer drops what comes behind 32 MiB.
        writer_ends_at_32_mib => a_large_blob_round_trips,
        /// The empty blob is not stored.
        never_stores_the_empty_blob => the_empty_blob_is_a_blob,
        /// The empty blob is answered before it was put.
        has_the_empty_blob_always => the_empty_blob_is_a_blob,
        /// A writer puts later pieces before earlier ones.
        writer_takes_pieces_back_to_front => pieces_do_not_change_the_address,
        /// A writer counts a blob that is there already.
        writer_counts_again => pieces_do_not_change_the_address,
        /// A writer stores whatever it was given, not what was expected.
        writer_checks_nothing => a_writer_holds_to_what_is_expected,
        /// A writer compares lengths with what was expected, not addresses.
        writer_checks_lengths_alone => a_writer_holds_to_what_is_expected,
        /// A writer that is dropped stores what it has.
        dropped_writer_stores => an_unfinished_writer_leaves_nothing,
        /// A writer that is aborted counts as a blob.
        aborted_writer_is_counted => an_unfinished_writer_leaves_nothing,
        /// `get` of an absent blob fails with `NotFound`.
        fails_for_absent_blobs => absent_is_none,
        /// A range of an absent blob is empty bytes.
        has_empty_ranges_of_absent_blobs => absent_is_none,
        /// Removing what is absent fails.
        removes_only_what_is_there => absent_is_none,
        /// A range lacks its last byte.
        drops_the_last_byte_of_a_range => ranges_are_slices,
        /// A range that begins past the end of the blob fails.
        fails_past_the_end => ranges_are_slices,
        /// Offset and length of a range are added without regard to overflow.
        overflows_at_the_end_of_a_range => ranges_are_slices,
        /// A blob of zeros is stored as nothing.
        keeps_zeros_as_holes => hostile_bytes_round_trip,
        /// A NUL at the end of a blob is cut off.
        trims_a_last_nul => hostile_bytes_round_trip,
        /// A blob of 32 bytes is taken for the address of the blob that is meant.
        follows_bytes_that_look_like_addresses => hostile_bytes_round_trip,
        /// A second put of a blob counts it again.
        counts_a_blob_twice => a_second_put_changes_nothing,
        /// The rest of a batch behind 1,024 blobs is not stored.
        ends_a_batch_at_1024 => batches_keep_their_order,
        /// `get_many` answers by address, not in the order asked.
        answers_in_the_order_of_addresses => batches_keep_their_order,
        /// `get_many` has no answer for absent blobs.
        leaves_absent_blobs_out => batches_keep_their_order,
        /// `stat` answers once for an address that is asked twice in a row.
        answers_duplicates_once => batches_keep_their_order,
        /// `get_many` answers with the next blob where the one asked for is absent.
        answers_with_a_neighbour => batches_keep_their_order,
        /// A put shows half of the bytes before the whole blob.
        shows_half_a_blob => reads_see_the_whole_blob_or_none,
        /// What was removed once is not stored again.
        remembers_removals => removed_blobs_can_be_put_again,
        /// What was removed is still served.
        serves_what_was_removed => removed_blobs_can_be_put_again,
        /// Blobs are listed as they came.
        lists_blobs_by_insertion => blob_lists_are_complete_and_resumable,
        /// A list of blobs takes no notice of `after`.
        lists_blobs_from_the_start => blob_lists_are_complete_and_resumable,
        /// A resumed list of blobs begins at the last item, not behind it.
        lists_the_last_blob_again => blob_lists_are_complete_and_resumable,
        /// A list behind an address that is not there is empty.
        resumes_only_behind_what_is_there => blob_lists_are_complete_and_resumable,
        /// A list goes on at the nth blob, whatever was put before it meanwhile.
        lists_blobs_by_position => blob_lists_are_stable_while_others_put,
        /// Usage still counts blobs that were removed.
        counts_removed_blobs => blob_usage_is_exact,
        /// Usage begins at zero when the store is opened again.
        counts_from_zero_at_reopen => blob_usage_is_exact,
        /// What is absent is looked up before the lock is taken, and written under it.
        looks_before_it_locks => writers_of_the_same_blobs_agree,
        /// Usage is declared and then not known.
        knows_no_blob_usage => blob_capabilities_are_as_declared,
        /// Removing an absent blob is counted.
        counts_absent_blobs_as_removed => every_blob_call_can_fail_and_be_repeated,
        /// A put that is dropped leaves half of a blob.
        leaves_half_a_blob => a_dropped_put_is_whole_or_nothing,
        /// When the store is opened again, a blob that was removed and put again is gone.
        loses_blobs_that_came_back => random_blob_calls_agree_with_the_model,
    }

    dag as Store {
        /// Inputs come back by address.
        sorts_inputs => order_counts_for_inputs_only,
        /// A recipe counts as there when another version of its function is.
        takes_versions_for_one => name_and_version_count,
        /// Recipes that are there are counted again.
        counts_recipes_again => insert_is_idempotent,
        /// Inserting a recipe that is there fails with `Conflict`.
        refuses_a_known_recipe => insert_is_idempotent,
        /// An empty batch fails.
        refuses_an_empty_batch => insert_is_idempotent,
        /// Text is normalised to NFC.
        composes_text => params_round_trip,
        /// Negative zero comes back as zero.
        forgets_the_sign_of_zero => params_round_trip,
        /// A recipe is refused until its inputs are there.
        wants_inputs_first => inputs_may_come_later,
        /// The edge of a recipe's last input is not written.
        forgets_an_edge => dependents_are_exact,
        /// A recipe that uses an input twice is listed twice among its dependents.
        keeps_an_edge_for_each_use => dependents_are_exact,
        /// The edges of a removed recipe stay.
        keeps_edges_of_removed_recipes => dependents_are_exact,
        /// Dependents are listed as they came.
        lists_recipes_by_insertion => dependents_are_resumable,
        /// A list of dependents takes no notice of `after`.
        lists_dependents_from_the_start => dependents_are_resumable,
        /// A recipe is removed although another needs it.
        removes_below_dependents => remove_minds_dependents,
        /// A refused batch is removed up to the recipe that another needs.
        removes_until_it_refuses => remove_minds_dependents,
        /// A batch that holds both ends of an edge is refused.
        minds_dependents_in_the_batch => remove_minds_dependents,
        /// Recipes that are not there are counted as removed.
        counts_absent_recipes_as_removed => remove_minds_dependents,
        /// A root that is set again stays where it was.
        never_moves_a_root => roots_have_any_name,
        /// A NUL ends the name of a root.
        takes_root_names_for_paths => roots_have_any_name,
        /// The name of a root may have any length.
        takes_root_names_of_any_length => names_of_roots_have_a_limit,
        /// A list of roots takes no notice of `after`.
        lists_roots_from_the_start => roots_have_any_name,
        /// Removing a root that is not there says that it was.
        removes_roots_that_are_not_there => roots_have_any_name,
        /// `a/1` answers for `a/10`.
        looks_functions_up_by_prefix => by_function_is_exact,
        /// A list of recipes takes no notice of `after`.
        lists_recipes_from_the_start => recipe_lists_are_complete_and_resumable,
        /// A resumed list of recipes begins at the last item, not behind it.
        lists_the_last_recipe_again => recipe_lists_are_complete_and_resumable,
        /// Recipes are listed without their outputs.
        lists_recipes_without_outputs => recipe_lists_are_complete_and_resumable,
        /// `get_many` answers by address, not in the order asked.
        answers_with_nodes_in_order_of_addresses => get_many_keeps_order,
        /// What is new is looked up before the lock is taken, and counted under it.
        counts_before_it_locks => overlapping_writers_agree,
        /// A batch locks its recipes in its own order, so that two batches wait for each other.
        locks_in_the_order_of_the_batch => overlapping_writers_agree,
        /// A batch with an unknown recipe is recorded without it.
        records_what_it_can => a_batch_is_recorded_whole_or_not,
        /// A second, different output takes the place of the first.
        divergence_overwrites => the_first_output_stays,
        /// A second, different output is not reported.
        divergence_is_silent => the_first_output_stays,
        /// The same bytes at another cost are taken for a different output.
        compares_costs => the_first_output_stays,
        /// Of several outputs in a batch the last is kept.
        last_of_a_batch_wins => divergence_inside_a_batch,
        /// Outputs are not kept under the resolved address.
        forgets_resolved_addresses => resolved_recipes_have_outputs,
        /// Outputs of resolved recipes are counted.
        counts_resolved_outputs => resolved_recipes_have_outputs,
        /// A recipe that is its own resolved one is recorded twice.
        records_its_own_resolved_output => a_recipe_may_be_its_own_resolved_one,
        /// Outputs are recorded for recipes that are not there.
        records_for_unknown_recipes => unknown_recipes_have_no_outputs,
        /// The error for an unknown recipe does not name it.
        names_no_address => unknown_recipes_have_no_outputs,
        /// Forgetting an output removes its recipe.
        forgets_recipes_too => forget_keeps_recipes_and_edges,
        /// Outputs of resolved recipes cannot be forgotten.
        forgets_outputs_of_recipes_alone => forget_keeps_recipes_and_edges,
        /// `forget` answers how many addresses it was given.
        answers_how_many_were_asked => forget_keeps_recipes_and_edges,
        /// The output of a removed recipe stays, and is there when the recipe comes back.
        keeps_outputs_of_removed_recipes => removed_recipes_lose_their_outputs,
        /// Usage still counts outputs that were forgotten.
        counts_forgotten_outputs => dag_usage_is_exact,
        /// Roots are gone when the store is opened again.
        loses_roots_at_reopen => dag_usage_is_exact,
        /// Edges behind the 4,096th input are not written.
        keeps_4096_edges => a_wide_fan_in,
        /// Dependents behind the 16,384th are not listed.
        ends_dependents_at_16384 => a_wide_fan_out,
        /// A recipe more than 10,000 deep is refused.
        limits_depth => a_long_chain,
        /// An input that is used twice comes back once.
        reads_inputs_once => topological_order_is_right,
        /// Lists are declared and then refused.
        refuses_to_list_recipes => dag_capabilities_are_as_declared,
        /// Removing what another recipe needs is `Invalid`, not `Conflict`.
        calls_a_conflict_invalid => one_cause_gives_one_kind,
        /// A root that is set again is counted again.
        counts_a_root_again => every_dag_call_can_fail_and_be_repeated,
        /// A batch is inserted in two halves, with time between them.
        inserts_in_halves => a_dropped_insert_is_whole_or_nothing,
        /// When the store is opened again, a recipe that was removed and inserted again has no edges.
        loses_edges_that_came_back => random_dag_calls_agree_with_the_model,
    }

    durability as Store {
        /// Writes are acknowledged and reach the log at the next flush.
        acknowledges_before_commit => acknowledged_blobs_survive_a_crash,
        /// Writes reach the log when the store is closed, whatever is flushed.
        writes_when_it_is_closed => flushed_blobs_survive_a_crash,
        /// Removals of recipes reach the log with the next write.
        removes_at_the_next_commit => acknowledged_recipes_survive_a_crash,
        /// Edges are kept in memory alone.
        keeps_edges_in_memory => acknowledged_recipes_survive_a_crash,
        /// When the store is opened again, a root is where it was at first.
        replays_the_first_write => acknowledged_recipes_survive_a_crash,
    }

    layer as Layer {
        /// A blob that was absent once is absent for ever.
        remembers_that_a_blob_is_absent => the_empty_blob_is_a_blob,
        /// The offset of a range is not forwarded.
        forwards_no_offset => ranges_are_slices,
        /// What a writer should expect is not forwarded.
        forwards_no_expectation => a_writer_holds_to_what_is_expected,
        /// The store knows its usage and the layer declares that it does not.
        hides_that_usage_is_known => blob_capabilities_are_as_declared,
        /// An output is answered from memory after it was forgotten.
        remembers_outputs => forget_keeps_recipes_and_edges,
        /// A batch is forwarded one by one.
        splits_batches => a_batch_is_recorded_whole_or_not,
        /// A call that succeeded is made again, and the second answer counts.
        repeats_what_succeeded => forget_keeps_recipes_and_edges,
        /// A failure of the store is answered as a success.
        takes_failures_for_success => unknown_recipes_have_no_outputs,
        /// Errors of every kind become `Unavailable`.
        makes_every_error_unavailable => one_cause_gives_one_kind,
    }

    executor as Executor {
        /// Inputs reach the function in the order of their bytes.
        sorts_the_inputs_of_a_step => inputs_keep_their_order,
        /// An input that a recipe uses twice reaches the function once.
        hands_an_input_over_once => inputs_keep_their_order,
    }
}
