"""What docs/guarantees.md promises, by its first column, and the tests that hold it."""

from collections.abc import Mapping, Sequence

GUARANTEES: Mapping[str, Sequence[str]] = {
    "the application logs": [
        "test_handler.test_handle_takes_no_lock",
        "test_handler.test_no_fault_of_a_record_reaches_the_application",
        "test_capture.test_nothing_makes_capture_raise",
        "test_capture.test_what_changes_after_the_call_is_not_seen",
    ],
    "the database is down, locked or slow": [
        "test_outage.test_nothing_is_given_up_for_its_age_or_the_attempts_it_took",
        "test_model.test_every_record_is_stored_once_whatever_happens",
        "test_handler.test_a_locked_database_delays_and_loses_nothing",
    ],
    "tables are dropped, or SQLite's file is removed, while the process runs": [
        "test_splitting.test_tables_that_are_dropped_while_we_write_are_made_again",
        "test_splitting.test_a_file_that_is_removed_or_replaced_while_we_write_is_made_again",
    ],
    "the outcome of a commit is not known": [
        "test_unknown_outcome.test_a_mixed_batch_after_an_unknown_commit_is_stored_exactly_once",
        "test_writer.test_a_batch_tried_again_after_it_was_committed_is_stored_once",
    ],
    "one record cannot be stored": [
        "test_poison.test_the_good_are_stored_and_the_bad_are_kept_with_the_reason",
    ],
    "the queue is full": [
        "test_overload.test_past_the_bound_each_policy_keeps_what_it_says_and_tells_the_rest",
        "test_overload.test_messages_go_before_the_tokens_and_the_cost",
        "test_worker.test_block_gives_up_in_time_and_never_blocks_a_running_loop",
    ],
    "the script ends": [
        "test_exits.test_what_is_logged_at_the_end_is_stored",
        "test_overload.test_a_database_that_never_answers_delays_the_exit_by_the_timeout",
    ],
    "the interpreter takes objects apart at its end: a stream left early, a generator, a destructor that logs": [
        "test_exits.test_what_is_torn_down_while_the_interpreter_ends_is_stored",
        "test_exits.test_what_comes_too_late_to_be_stored_is_said_and_delays_nothing",
    ],
    "a handler is dropped without `close()`": [
        "test_handler.test_handlers_that_are_dropped_are_stored_and_leave_neither_thread_nor_files",
    ],
    "SIGTERM comes": [
        "test_signals.test_what_was_logged_is_stored_and_the_exit_status_is_as_before",
        "test_signals.test_the_option_does_it_where_logging_is_configured_by_a_file_alone",
        "test_signals.test_without_it_no_signal_is_touched",
        "test_asgi.test_sigterm_in_mid_traffic_loses_nothing_that_was_answered",
    ],
    "the process is killed, or calls `os._exit`": [
        "test_forks.test_celery_prefork_stores_what_a_child_had_queued_when_it_ended",
    ],
    "the process forks": [
        "test_handler.test_a_fork_child_and_its_parent_both_go_on",
        "test_forks.test_an_open_connection_is_not_shared",
        "test_forks.test_forks_while_the_thread_imports_connects_and_writes",
    ],
    "a child of `multiprocessing` ends": [
        "test_forks.test_multiprocessing_children_write_what_they_queued_before_they_end",
    ],
    "two calls have the same `operation_id`": [
        "test_ids.test_calls_that_differ_in_nothing_are_each_stored_whatever_is_tried_again",
        "test_ids.test_what_is_logged_inside_a_second_run_hangs_under_the_second_run",
    ],
    "a value is huge, endless or refers to itself": [
        "test_tree.test_every_graph_is_stored_in_bounded_time_and_memory",
        "test_tree.test_what_has_no_end_is_stored_in_part_and_that_is_said",
    ],
    "the server, the connection or a lent engine has settings of its own": [
        "test_settings.test_a_lent_engine_with_settings_of_its_own",
        "test_settings.test_a_database_with_settings_of_its_own",
        "test_server_settings.test_a_postgresql_server_s_zone_and_date_style_change_no_time",
        "test_server_settings.test_names_sort_code_point_by_code_point_whatever_the_collation",
    ],
    "a reader reads": [
        "test_sqlite_reading.test_a_closed_log_is_read_and_left_as_it_was",
        "test_sqlite_reading.test_a_log_is_read_where_nothing_may_be_written",
        "test_reader.test_a_log_that_is_not_there_is_an_error_with_its_path_and_nothing_is_made",
    ],
    "many processes log the same new session": [
        "test_access.test_many_processes_start_at_once_where_there_is_no_database_yet",
    ],
    "another `dictConfig` closes the handler": ["test_handler.test_a_closed_handler_opens_again"],
    "a database driver logs on our thread": [
        "test_handler.test_records_of_its_own_thread_are_ignored",
        "test_overload.test_our_own_libraries_at_debug_feed_nothing_back",
    ],
}
