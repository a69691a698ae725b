//! All mutants: what is broken, and the case that must catch it.

use super::{Kind, Mutant};

/// Declares mutants: the sentence says what is broken, the name after the arrow is the case that must
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
        /// A writer drops what comes after 32 MiB.
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
        /// The rest of a batch after 1,024 blobs is not stored.
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
        /// A resumed list of blobs begins at the last item, not after it.
        lists_the_last_blob_again => blob_lists_are_complete_and_resumable,
        /// A list after an address that is not there is empty.
        resumes_only_after_what_is_there => blob_lists_are_complete_and_resumable,
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
        /// The rest of a batch after 16 MiB is not stored.
        ends_a_batch_at_16_mib => a_large_batch_is_stored_whole,
        /// Removing a batch removes all that lies between its addresses.
        removes_what_lies_between => remove_leaves_the_others,
        /// A list of blobs ends after 1,024.
        lists_1024_blobs_at_most => long_blob_lists_are_complete,
        /// A writer takes an empty piece for the end.
        writer_ends_at_an_empty_piece => empty_pieces_change_nothing,
        /// All writers of a store gather their bytes in one buffer.
        writers_share_a_buffer => writers_do_not_mix,
        /// `stat` still tells of blobs that were removed.
        stat_remembers_removed_blobs => stat_agrees_with_get,
        /// The store prints itself in two lines.
        prints_two_lines => a_blob_store_prints_itself,
        /// Every call begins to count anew.
        counts_blobs_anew => blob_counters_stay_and_rise,
        /// A read puts into the cache what was removed while it read.
        caches_blobs_too_late => a_blob_is_linearizable,
        /// A writer looks before it takes the lock whether the blob is to be counted.
        counts_streams_before_it_locks => streams_of_one_blob_agree,
        /// A removed blob is served as long as somebody holds its bytes.
        serves_what_is_still_held => a_blob_in_hand_outlives_its_removal,
        /// A put fails outside of tokio.
        puts_in_tokio_alone => blobs_work_in_any_runtime,
        /// A put that is dropped leaves half of a blob.
        leaves_half_a_blob => a_dropped_put_is_whole_or_nothing,
        /// When the store is opened again, a blob that was removed and put again is gone.
        loses_blobs_that_came_back => random_blob_calls_agree_with_the_model,
        /// `stat` answers the length of the row before, from the 65th address on.
        tells_the_length_before_beyond_64 => blob_batches_of_every_size,
        /// `get_many` answers 256 addresses, and the others as if nothing were there.
        reads_256_blobs_at_most => blob_batches_of_every_size,
        /// The rest of a batch after 300 blobs is not removed.
        removes_300_blobs_at_most => blob_batches_of_every_size_are_removed,
        /// The offset of a range is cut to 32 bits.
        cuts_offsets_to_32_bits => ranges_are_64_bits_wide,
        /// The length of a range is cut to 32 bits.
        cuts_lengths_of_ranges_to_32_bits => ranges_are_64_bits_wide,
        /// A writer compares lengths in 32 bits with what was expected.
        writer_compares_32_bits => expected_lengths_are_64_bits_wide,
        /// A writer compares addresses with what was expected, not lengths.
        writer_checks_addresses_alone => expected_lengths_are_64_bits_wide,
        /// `verify` answers once for an address that is asked twice in a row.
        verifies_duplicates_once => verify_tells_what_is_there,
        /// `verify` answers by address, not in the order asked.
        verifies_in_the_order_of_addresses => verify_tells_what_is_there,
        /// `verify` takes the empty blob for absent.
        verifies_bytes_alone => verify_tells_what_is_there,
        /// `verify` answers 256 addresses, and the others as if nothing were there.
        verifies_256_blobs_at_most => batches_of_every_size_are_verified,
        /// `verify` says of a blob what it said before.
        verifies_once_and_for_all => verify_follows_puts_and_removals,
        /// `verify` takes a blob for damaged that goes while it is looked at.
        takes_a_removal_for_damage => verify_beside_writers_meets_no_damage,
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
        /// A resumed list of recipes begins at the last item, not after it.
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
        /// Edges after the 4,096th input are not written.
        keeps_4096_edges => a_wide_fan_in,
        /// Dependents after the 16,384th are not listed.
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
        /// The limit of root names is counted in characters.
        counts_characters_of_root_names => names_of_roots_have_a_limit,
        /// A list of roots ends after 4,096.
        lists_4096_roots_at_most => ten_thousand_roots,
        /// A recipe keeps as many inputs as their number modulo 256.
        counts_inputs_in_a_byte => addresses_are_the_known_ones,
        /// Floats below 1e-300 come back as zero.
        flushes_tiny_floats => floats_are_finite,
        /// Lists of recipes end after 1,024.
        lists_1024_recipes_at_most => long_recipe_lists_are_complete,
        /// Edges to inputs that are not there yet are not written.
        writes_edges_to_what_is_there => order_of_operations_leaves_no_trace,
        /// The store prints itself as nothing.
        prints_nothing => a_dag_store_prints_itself,
        /// Every call of the graph begins to count anew.
        counts_recipes_anew => dag_counters_stay_and_rise,
        /// Lengths of outputs are kept in 32 bits.
        keeps_lengths_in_32_bits => outputs_come_back_as_recorded,
        /// Costs of outputs are kept in microseconds.
        keeps_costs_in_microseconds => outputs_come_back_as_recorded,
        /// `outputs` answers by address, not in the order asked.
        answers_with_outputs_in_order_of_addresses => outputs_keep_order,
        /// What comes after a divergence in a batch is not recorded.
        stops_at_a_divergence => divergences_do_not_stop_a_batch,
        /// A read puts into the cache a recipe that was removed while it read.
        caches_recipes_too_late => a_recipe_is_linearizable,
        /// A read puts into the cache an output that was forgotten while it read.
        caches_outputs_too_late => an_output_is_linearizable,
        /// A list of roots puts into the cache what was moved while it read.
        caches_roots_too_late => a_root_is_linearizable,
        /// Whether there is an output is looked up before the lock is taken.
        looks_for_outputs_before_it_locks => one_of_many_records_wins,
        /// An insert fails in a runtime of one thread.
        inserts_on_many_threads_alone => recipes_work_in_any_runtime,
        /// Recipes and their edges are written under two locks, one after the other.
        writes_edges_after_their_recipes => edges_match_recipes_after_a_race,
        /// A batch is inserted in two halves, with time between them.
        inserts_in_halves => a_dropped_insert_is_whole_or_nothing,
        /// When the store is opened again, a recipe that was removed and inserted again has no edges.
        loses_edges_that_came_back => random_dag_calls_agree_with_the_model,
        /// The rest of a batch after 300 recipes is not inserted.
        inserts_300_recipes_at_most => recipe_batches_of_every_size,
        /// The rest of a batch after 300 records is not recorded.
        records_300_at_most => recipe_batches_of_every_size,
        /// `outputs` answers the output of the row before, from the 65th address on.
        tells_the_output_before_beyond_64 => recipe_batches_of_every_size,
        /// `forget` leaves out what lies beyond 300 in a batch.
        forgets_300_at_most => recipe_batches_of_every_size,
        /// `remove` leaves out what lies beyond 300 in a batch.
        removes_300_recipes_at_most => recipe_batches_of_every_size_are_removed,
        /// `remove` looks at the first 64 dependents of a recipe.
        looks_at_64_dependents => every_dependent_counts_when_recipes_are_removed,
        /// `remove` looks at the dependents of the first 64 recipes of a batch.
        looks_at_64_recipes_of_a_batch => every_dependent_counts_when_recipes_are_removed,
        /// Edges to the inputs after the 256th stay when a recipe is removed.
        removes_256_edges => inputs_of_every_number_have_edges,
        /// Lengths of outputs are kept in a number with a sign.
        keeps_lengths_in_63_bits => outputs_are_64_bits_wide,
        /// Costs of outputs above five centuries come back as a short time.
        wraps_long_costs => outputs_are_64_bits_wide,
        /// Removing the empty name is refused.
        refuses_to_remove_no_name => names_of_no_root_are_not_there,
        /// Removing the empty name removes the first root.
        takes_the_empty_name_for_the_first => names_of_no_root_are_not_there,
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
        /// The last row of a batch reaches the log with the next one.
        holds_the_last_row_back => a_crash_leaves_edges_and_recipes_together,
        /// Roots reach the log when the store is closed, whatever is flushed.
        writes_roots_when_it_is_closed => flushed_recipes_survive_a_crash,
        /// A writer stores at every piece what it has so far.
        writer_stores_as_it_goes => a_crash_leaves_no_half_blob,
        /// Opening takes the last record of the log for torn and leaves it out.
        leaves_the_last_record_out => reopening_blobs_changes_nothing,
        /// Opening drops outputs that belong to no recipe.
        drops_outputs_without_recipes => reopening_recipes_changes_nothing,
    }

    damage as Store {
        /// Nothing that is read from the log is checked.
        trusts_its_disk => a_flipped_bit_is_corrupt,
        /// What is damaged counts as absent.
        takes_damage_for_absence => a_flipped_bit_is_corrupt,
        /// A log that is cut off is a panic.
        panics_where_its_log_is_cut => a_lost_file_is_noticed,
        /// `verify` calls right whatever is there.
        verifies_without_a_look => damage_is_an_answer_of_verify,
        /// `verify` calls absent what is damaged.
        verifies_damage_as_absence => damage_is_an_answer_of_verify,
        /// `verify` fails where one blob is damaged.
        fails_where_one_is_damaged => damage_is_an_answer_of_verify,
        /// `verify` removes what is damaged.
        removes_what_it_finds_damaged => damage_is_an_answer_of_verify,
        /// `get_many` does not check what `get` checks.
        checks_blobs_in_get_alone => a_damaged_blob_store_never_lies,
        /// A damaged recipe is read as the recipe that its bytes are.
        trusts_recipes_on_disk => a_flipped_recipe_is_corrupt,
        /// Recipes are checked, and neither outputs nor edges nor roots.
        checks_recipes_alone => a_damaged_dag_store_never_lies,
    }

    layer as Layer {
        /// A blob that was absent once is absent for ever.
        remembers_that_a_blob_is_absent => the_empty_blob_is_a_blob,
        /// The layer remembers what was verified.
        remembers_what_was_verified => verify_follows_puts_and_removals,
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
        /// Params do not reach the function.
        hands_no_params_over => params_reach_the_function,
        /// An output ends after a mebibyte.
        cuts_outputs_at_a_mebibyte => outputs_of_any_size_come_back,
        /// Any version of a function is run for any other.
        runs_any_version => unknown_functions_are_unsupported,
        /// Functions that are not there are said to be supported.
        supports_everything => unknown_functions_are_unsupported,
        /// Errors of functions become `Internal`.
        makes_every_failure_internal => errors_keep_their_kind,
        /// A failure is remembered and answered again.
        remembers_failures => failures_are_not_remembered,
        /// A panic in a function ends the thread that should answer.
        dies_of_a_panic => panics_are_errors,
        /// A panic in a function becomes an empty output.
        answers_a_panic_with_nothing => panics_are_errors,
        /// A step that must be fresh takes what came of it before.
        reuses_for_fresh_steps => fresh_steps_run_again,
        /// A result is reused without saying so.
        reuses_and_does_not_say => fresh_steps_run_again,
        /// The inputs of every second step are turned round.
        turns_every_second_step_round => honest_functions_repeat_themselves,
        /// No step runs any more when one was dropped.
        ends_when_a_step_is_dropped => dropped_steps_disturb_nothing,
        /// Outside of tokio no step runs.
        runs_in_tokio_alone => steps_run_in_any_runtime,
        /// Steps of one function are taken for one when their first inputs are the same.
        takes_steps_with_one_first_input_for_one => graphs_come_out_as_in_the_reference,
        /// The executor says that it is no step wide.
        has_no_width => steps_overlap,
        /// A step is refused while another runs.
        refuses_a_second_step => steps_overlap,
        /// Steps do not wait for their turn.
        runs_any_number_at_once => the_width_is_respected,
        /// The inputs of all steps are gathered in one place.
        gathers_inputs_in_one_place => steps_do_not_mix,
    }

    executor_layer as ExecutorLayer {
        /// A step that must be fresh is answered with what is remembered.
        answers_fresh_steps_from_memory => fresh_steps_run_again,
        /// A step that must be fresh takes what another gives that runs at the same time.
        joins_fresh_steps => fresh_steps_at_once_each_run,
        /// A result is said to be reused though the function ran.
        claims_that_all_is_reused => reuse_is_told_truly,
        /// Steps of the same inputs in another order are taken for one.
        remembers_without_regard_to_order => reuse_is_told_truly,
        /// A function that failed is supported no more.
        supports_no_more_what_failed => what_an_executor_says_of_itself_stays,
        /// A step loses its deadline.
        hands_no_deadline_on => a_step_without_time_is_not_run,
        /// A step loses its context.
        hands_no_context_on => the_context_reaches_the_function,
        /// A step gets a context of its own, through which nobody gives it up.
        hands_a_copy_of_the_context_on => the_context_reaches_the_function,
        /// A step that is dropped goes on in a task of its own.
        goes_on_with_what_is_dropped => a_step_given_up_before_its_turn_does_not_run,
    }

    materializer as Materializer {
        /// What has an output is computed all the same.
        computes_what_is_known => what_is_known_runs_nothing,
        /// A node runs as often as others use it.
        runs_a_node_for_each_dependent => a_shared_node_runs_once,
        /// Outputs reach a function in the order of their bytes.
        sorts_outputs => outputs_reach_the_function_in_order,
        /// An output that is used twice in a row reaches the function once.
        hands_an_output_over_once => outputs_reach_the_function_in_order,
        /// What was asked for is answered by address.
        answers_targets_by_address => answers_come_in_the_order_of_the_request,
        /// What was asked for twice is answered once.
        answers_a_target_once => answers_come_in_the_order_of_the_request,
        /// A recipe more than 1,000 deep is refused.
        plans_1000_deep => a_long_chain_is_materialized,
        /// Inputs after the 512th do not reach the function.
        hands_512_inputs_over => a_wide_recipe_is_materialized,
        /// Inputs after the seventh do not reach the function.
        hands_seven_inputs_over => generated_graphs_come_out_as_in_the_reference,
        /// A request fails in a runtime of one thread.
        wants_many_threads => requests_are_made_in_any_runtime,
        /// A blob that was lost is served as no bytes.
        serves_lost_blobs_as_empty => lost_outputs_are_made_again,
        /// A recorded output is taken for there without a look at its blob.
        trusts_records_blindly => lost_outputs_are_made_again,
        /// What was lost and made again is not counted as healed.
        heals_without_counting => lost_outputs_are_made_again,
        /// A lost output is replaced by whatever the function gives now.
        heals_with_whatever_comes_out => what_is_made_again_is_compared,
        /// An answer is kept in memory and served after its output was forgotten.
        serves_what_was_forgotten => what_was_forgotten_is_computed_again,
        /// The output stays under the resolved address when it is forgotten.
        forgets_one_name_alone => what_was_forgotten_is_computed_again,
        /// Forgetting an output removes its blob.
        forgets_blobs_too => what_was_forgotten_is_computed_again,
        /// Forgetting what is not known succeeds.
        forgets_what_nobody_knows => what_was_forgotten_is_computed_again,
        /// Outputs are looked for under the recipe's own address alone.
        never_cuts_off => equal_outputs_upstream_run_nothing_downstream,
        /// Cutoff takes place where it was not asked for.
        cuts_off_unasked => equal_outputs_upstream_run_nothing_downstream,
        /// What was cut off is not recorded under its own name.
        records_nothing_that_it_cuts_off => equal_outputs_upstream_run_nothing_downstream,
        /// Resolved recipes are compared without their params.
        cuts_off_whatever_the_params => other_work_is_not_cut_off,
        /// Resolved recipes are compared without the order of their inputs.
        cuts_off_whatever_the_order => other_work_is_not_cut_off,
        /// Resolved recipes are compared without the version of their function.
        cuts_off_whatever_the_version => other_work_is_not_cut_off,
        /// A failure is kept and answered again.
        memoizes_failures => failed_recipes_are_tried_again,
        /// A failure has no path.
        names_no_path => failures_carry_their_path,
        /// Errors do not say of which request they are.
        names_no_request => errors_name_their_request,
        /// Those of a request that keeps going do not.
        names_no_request_in_results => errors_name_their_request,
        /// Any text is an id of a request.
        takes_any_request_id => errors_name_their_request,
        /// The path of a failure is what failed, alone.
        names_the_failed_recipe_alone => failures_carry_their_path,
        /// A missing input is found when it is its turn.
        finds_missing_inputs_late => missing_inputs_are_listed_before_any_work,
        /// Of several missing inputs one is listed.
        lists_one_missing_input => missing_inputs_are_listed_before_any_work,
        /// An unknown function is found when it is its turn.
        finds_unknown_functions_late => unknown_functions_are_listed_before_any_work,
        /// Unknown functions are `NotFound`.
        calls_unknown_functions_not_found => unknown_functions_are_listed_before_any_work,
        /// A request that should keep going stops at a failure.
        stops_at_the_first_failure => keep_going_finishes_what_does_not_depend_on_a_failure,
        /// What needs a failed recipe runs, with no bytes in its place.
        goes_on_above_a_failure => keep_going_finishes_what_does_not_depend_on_a_failure,
        /// Recipes that were given up are not counted.
        counts_nothing_as_given_up => keep_going_finishes_what_does_not_depend_on_a_failure,
        /// Failures are among the results, whether asked for or not.
        keeps_going_unasked => keep_going_finishes_what_does_not_depend_on_a_failure,
        /// A collection takes nothing.
        collects_nothing => a_collection_takes_what_nobody_needs,
        /// A collection takes no notice of leases.
        collects_what_is_leased => a_collection_takes_what_nobody_needs,
        /// A collection takes the blobs of living outputs.
        collects_outputs => a_collection_takes_what_nobody_needs,
        /// A collection takes what a living output was made from.
        collects_leaves_of_what_is_done => a_collection_takes_what_nobody_needs,
        /// Requests take no notice of each other.
        runs_a_node_for_each_request => many_requests_run_a_node_once,
        /// A panic in a function ends the task that should answer.
        dies_of_a_panic_in_a_step => a_failure_answers_all_who_wait,
        /// One step runs at a time.
        runs_one_step_at_a_time => independent_branches_overlap,
        /// A request has as many steps at once as there is room for.
        takes_no_notice_of_jobs => jobs_are_limited,
        /// Each request has its own limit, and all together have none.
        has_no_slots => jobs_are_limited,
        /// A request joins steps of others for its targets alone.
        joins_targets_alone => overlapping_work_is_done_once,
        /// A step that ran while its output was forgotten is joined and recorded.
        records_what_was_forgotten_meanwhile => no_answer_is_from_before_a_forget,
        /// Requests that functions make wait for slots as others do.
        callbacks_wait_for_a_slot => a_function_may_call_back,
        /// A function that asks for its own recipe is not noticed.
        waits_for_itself => a_function_that_waits_for_itself_is_told,
        /// Who waits for a request that is dropped is not told.
        waiters_of_a_dropped_leader_hang => a_dropped_leader_leaves_an_answer,
        /// Who has waited for 10 ms runs the step itself.
        loses_patience => a_dropped_leader_leaves_an_answer,
        /// A request claims all that it plans, and keeps that when it is dropped.
        claims_all_that_it_plans => what_a_dropped_leader_has_not_begun_is_done_by_others,
        /// Steps of a dropped request count as running.
        dropped_requests_stay_in_flight => a_dropped_request_can_be_made_again,
        /// A request goes on after it was dropped.
        goes_on_when_nobody_asks => a_dropped_request_begins_no_more_steps,
        /// A request has no deadline.
        takes_no_notice_of_deadlines => a_deadline_ends_a_request,
        /// A request holds no lease on what it was asked for.
        leases_nothing_while_it_runs => a_collection_leaves_what_a_request_needs,
        /// Each materializer has its own leases and its own gate.
        knows_nothing_of_others => a_collection_leaves_what_another_materializer_needs,
        /// Each materializer knows of its own steps alone.
        joins_nothing_of_others => two_materializers_run_a_recipe_once,
        /// What is in memory goes when this materializer forgets it, and no other.
        hears_of_its_own_forgetting_alone => what_is_forgotten_through_another_is_not_served,
        /// Who joins a step leaves it the priority that it has.
        lends_no_priority => priority_reaches_what_is_waited_for,
        /// A collection looks what is needed, and takes a while later all that was not.
        collects_by_an_old_list => collections_run_beside_everything,
        /// A request that fails keeps a lease.
        keeps_a_lease_where_a_request_fails => all_is_given_back_however_a_request_ends,
        /// A request that is dropped keeps a lease.
        keeps_a_lease_where_a_request_is_dropped => all_is_given_back_where_requests_are_dropped,
        /// A request keeps a lease where the store fails.
        keeps_a_lease_where_the_store_fails => all_is_given_back_where_the_store_fails,
        /// Who joins a request that has a deadline has it, too.
        hands_its_deadline_on => a_deadline_is_nobody_elses,
        /// A request is answered while its last outputs are written.
        answers_before_the_last_write => an_answer_comes_after_the_last_write,
        /// Everything is stored, whatever a request asks for.
        stores_what_it_should_not => nothing_is_stored_where_that_is_asked_for,
        /// The bytes of what is not stored are nowhere.
        hands_nothing_over => nothing_is_stored_where_that_is_asked_for,
        /// What is joined is stored if who began it stores it, and else not.
        stores_nothing_that_it_joins => what_another_does_not_store_is_stored,
        /// A request for no steps at once runs nothing, and is answered.
        runs_requests_for_no_steps => a_request_for_no_steps_is_invalid,
        /// Steps begin in the order in which they were asked for.
        takes_no_notice_of_priorities => a_lower_priority_waits,
        /// That all is done is not told.
        leaves_the_last_progress_out => events_are_told_in_order,
        /// That a step began is told when it has ended.
        tells_that_a_step_began_when_it_ended => events_are_told_in_order,
        /// Of recipes whose output is known nothing is told.
        tells_nothing_of_what_is_known => events_are_told_in_order,
        /// A failed look-up counts as absence.
        takes_store_failures_for_absence => every_call_of_a_request_can_fail,
        /// That an output could not be recorded is no failure.
        acknowledges_what_was_not_recorded => every_call_of_a_request_can_fail,
        /// An output is recorded before its blob is stored.
        records_before_it_stores => no_output_comes_before_its_blob,
        /// Two outputs of one length are taken for the same.
        compares_lengths_alone => functions_that_are_not_deterministic_are_caught,
        /// A check runs once, and compares the output with itself.
        compares_a_run_with_itself => functions_that_are_not_deterministic_are_caught,
        /// The second run of a check gets its inputs in another order.
        repeats_with_the_inputs_turned_round => deterministic_functions_pass_every_check,
        /// A repetition that fails is taken for agreement.
        takes_a_failing_repetition_for_agreement => a_failure_of_some_runs_is_a_difference,
        /// Two failures are never taken for the same.
        takes_every_failure_for_a_difference => a_failure_of_some_runs_is_a_difference,
        /// Of a quorum the first output is served, whatever the others gave.
        accepts_the_first_of_a_quorum => a_quorum_serves_what_most_runs_gave,
        /// Runs that differ from what a quorum agreed on are not remembered.
        remembers_no_dissent => a_quorum_serves_what_most_runs_gave,
        /// What is computed after a quorum is served, whether or not it is what most runs gave.
        serves_what_no_quorum_agreed_on => a_quorum_serves_what_most_runs_gave,
        /// Of a quorum's runs the most count, though they are too few.
        accepts_a_minority => a_quorum_that_is_split_serves_nothing,
        /// A sample is chosen without the key.
        samples_by_a_constant => a_sample_is_decided_by_the_resolved_address,
        /// A sample is chosen by the address of the recipe, not by that of the computation.
        samples_by_the_recipes_own_address => a_sample_is_decided_by_the_resolved_address,
        /// Light functions are left out of samples.
        samples_nothing_of_light_functions => a_sample_is_decided_by_the_resolved_address,
        /// A rate that is no number, and a quorum that is none, are taken.
        takes_modes_that_are_none => a_mode_that_is_none_is_invalid,
        /// A request may ask for less than the setup does, whatever that says.
        lets_a_request_lower_the_floor => the_strictest_mode_wins,
        /// A request may never ask for less than the setup does.
        never_lowers_the_floor => the_strictest_mode_wins,
        /// Of two modes the laxer holds.
        takes_the_laxer_mode => the_strictest_mode_wins,
        /// The mode that a request has for a recipe is taken for all.
        takes_the_mode_of_one_recipe_for_all => a_mode_for_a_recipe_is_for_that_one,
        /// What is recorded is run again where checks are asked for.
        checks_what_is_recorded => only_executions_are_checked,
        /// The first output is recorded before it is compared with the second.
        records_before_it_compares => nothing_is_recorded_of_what_differs,
        /// A request does not tell that runs differ.
        tells_of_no_difference => nothing_is_recorded_of_what_differs,
        /// A doubted output is served without a mark.
        marks_nothing_as_doubted => a_doubted_output_is_served_and_not_kept,
        /// A doubted output is recorded.
        records_doubted_outputs => a_doubted_output_is_served_and_not_kept,
        /// What is made from a doubted output is recorded.
        records_what_rests_on_a_doubted_output => a_doubted_output_is_served_and_not_kept,
        /// Each materializer knows of the differences that it found, and of those that were there when it was opened.
        hears_of_its_own_differences_alone => what_differs_is_served_to_nobody,
        /// What is looked for under the resolved address is served though it is condemned.
        serves_what_differs_by_cutoff => what_differs_is_served_to_nobody,
        /// A computation that differed is run and served where its recipe is another.
        computes_what_differs_under_another_name => what_differs_is_served_to_nobody,
        /// A recorded output is served without a look into the ledger.
        serves_what_others_recorded_of_it => what_differs_is_served_to_nobody,
        /// What was recorded before of what differs now stays.
        keeps_what_was_recorded_before => what_was_recorded_before_is_forgotten,
        /// What was made from an output that is forgotten as it differs stays.
        forgets_no_descendants => what_was_recorded_before_is_forgotten,
        /// What other recipes have that are the same computation stays.
        forgets_no_other_name_of_what_differs => what_was_recorded_before_is_forgotten,
        /// The ledger is in memory, and ends with its materializer.
        forgets_the_ledger => the_ledger_survives,
        /// A collection takes the blobs of the ledger.
        collects_the_ledger => the_ledger_survives,
        /// How many runs gave an answer is not counted.
        counts_each_answer_once => the_ledger_survives,
        /// A materializer that is opened releases all that is in the ledger.
        releases_on_restart => a_release_lasts,
        /// What is released is so for as long as the materializer lives.
        releases_for_as_long_as_it_lives => a_release_lasts,
        /// An entry that is released is taken out of the ledger.
        removes_what_is_released => a_release_lasts,
        /// An entry that cannot be read is passed over.
        takes_a_damaged_entry_for_none => a_damaged_entry_condemns_still,
        /// The ledger cannot be read where one entry is damaged.
        fails_for_a_damaged_entry => a_damaged_entry_condemns_still,
        /// An output that others recorded meanwhile stays, and the ledger has nothing of it.
        keeps_the_first_of_two_records => another_output_that_was_recorded_meanwhile_is_a_difference,
        /// A lost output that comes out different is a failure, and the ledger has nothing of it.
        remembers_nothing_of_what_it_heals => a_lost_output_that_comes_out_different_is_in_the_ledger,
        /// An audit computes what it was asked for, and nothing of what that needs.
        audits_what_was_asked_for_alone => an_audit_of_what_is_as_it_was_finds_nothing,
        /// An audit takes two outputs of one length for the same.
        audits_lengths_alone => an_audit_finds_what_changed_and_nothing_else,
        /// What an audit finds stays recorded.
        forgets_nothing_that_an_audit_finds => an_audit_finds_what_changed_and_nothing_else,
        /// An audit computes from what the inputs give now, not from what is recorded of them.
        audits_with_what_comes_out_now => an_audit_finds_what_changed_and_nothing_else,
        /// An audit of a blob finds nothing, and is no mistake.
        audits_blobs => an_audit_is_of_a_recipe,
        /// A request that asks for checks joins a step that runs without.
        joins_what_runs_unchecked => a_check_is_not_satisfied_by_less,
        /// A request that asks for checks joins nothing.
        joins_no_checks => one_check_is_for_all_who_wait,
        /// A request that asks for checks is content with a doubted output of another.
        serves_a_doubted_output_to_who_checks => a_doubted_output_satisfies_no_check,
        /// What others have of a computation that differs is looked for before what is under way is recorded.
        forgets_before_writes_are_through => what_is_being_recorded_of_what_differs_is_not_served,
        /// That the ledger could not be written is no failure.
        takes_a_failed_ledger_for_written => every_call_of_a_check_can_fail,
        /// While the ledger is written nobody can ask for anything.
        lets_nobody_in_while_it_remembers => a_ledger_that_hangs_holds_up_nobody_else,
    }
}
