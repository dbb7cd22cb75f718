"""
What a background handler must withstand, R01 to R50, each from a real complaint: by which test ours shows it.

``tests/test_requirements.py`` holds that every number is here and that the tests named are there; the table ends
the output of a run.
"""

import ast
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support import syntax

ROOT = Path(__file__).resolve().parents[2]

JOURNAL = "journal: kept on disk, which is not built yet"

REQUIREMENTS: Mapping[str, tuple[str, Sequence[str]]] = {
    "R01": ("a fork while a lock is held", ["test_forks.test_a_fork_while_another_thread_holds_every_lock"]),
    "R02": (
        "a fork with records waiting",
        [
            "test_forks.test_gunicorn_with_preload_and_four_workers",
            "test_forks.test_forks_while_the_thread_imports_connects_and_writes",
        ],
    ),
    "R03": (
        "connections are not shared",
        [
            "test_forks.test_an_open_connection_is_not_shared",
            "test_forks.test_the_connections_of_a_lent_engine_are_not_shared",
        ],
    ),
    "R04": (
        "a child that ends by os._exit",
        ["test_forks.test_celery_prefork_stores_what_a_child_had_queued_when_it_ended", JOURNAL],
    ),
    "R05": (
        "handlers that are gone, and a fork",
        ["test_forks.test_a_hundred_handlers_that_are_gone_leave_nothing_for_a_fork"],
    ),
    "R06": ("gevent", ["test_forks.test_gevent_with_everything_patched"]),
    "R07": ("records at the end of the process", ["test_exits.test_what_is_logged_at_the_end_is_stored"]),
    "R08": (
        "the exit never hangs",
        ["test_overload.test_a_database_that_never_answers_delays_the_exit_by_the_timeout", JOURNAL],
    ),
    "R09": (
        "a flush after the thread died",
        ["test_overload.test_any_exception_of_what_the_threads_loop_calls_is_outlived"],
    ),
    "R10": ("SIGTERM", ["test_signals.test_what_was_logged_is_stored_and_the_exit_status_is_as_before"]),
    "R11": ("life after close", ["test_handler.test_a_closed_handler_opens_again"]),
    "R12": ("faults after reopening", ["test_overload.test_after_close_and_reopening_faults_are_met_as_before"]),
    "R13": (
        "shutdown under logging's locks",
        ["test_overload.test_shutdown_with_records_waiting_and_everything_at_debug_does_not_hang"],
    ),
    "R14": (
        "flush before a freeze",
        [
            "test_outage.test_one_record_is_there_for_others_when_flush_returns",
            "test_outage.test_a_flush_with_nothing_waiting_does_nothing",
        ],
    ),
    "R15": ("our own libraries' records", ["test_overload.test_our_own_libraries_at_debug_feed_nothing_back"]),
    "R16": ("destructors that log", ["test_overload.test_destructors_that_log_wherever_the_collector_runs"]),
    "R17": (
        "signal handlers that log",
        [
            "test_overload.test_a_signal_handler_that_logs_while_its_thread_logs",
            "test_buffer.test_a_signal_handler_that_logs_while_its_thread_flushes_hangs_nobody",
        ],
    ),
    "R18": (
        "problems are told without logging",
        ["test_outage.test_a_problem_met_in_a_log_call_is_told_once_and_not_through_logging"],
    ),
    "R19": ("later mutation", ["test_capture.test_what_changes_after_the_call_is_not_seen"]),
    "R20": ("the cost of a log call", ["elsewhere: a time, for benchmarks/"]),
    "R21": (
        "the event loop is not blocked",
        [
            "test_outage.test_a_database_that_never_answers_and_a_full_queue_do_not_hold_an_event_loop",
            "test_worker.test_block_gives_up_in_time_and_never_blocks_a_running_loop",
        ],
    ),
    "R22": (
        "no exception into the application",
        [
            "test_capture.test_nothing_makes_capture_raise",
            "test_buffer.test_a_control_c_anywhere_in_a_log_call_leaves_the_lock_free_and_the_counts_in_balance",
        ],
    ),
    "R23": ("keys that collide", ["test_capture.test_what_stands_under_llm_cannot_collide_and_wins"]),
    "R24": (
        "exceptions kept, the record untouched",
        ["test_capture.test_an_exception_gives_type_text_and_traceback_and_leaves_the_record_alone"],
    ),
    "R25": (
        "the context of the call",
        [
            "test_operation.test_200_tasks_three_levels_deep_and_interleaved",
            "test_operation.test_200_threads_and_executors_with_copied_contexts",
        ],
    ),
    "R26": (
        "memory in an outage",
        [
            "test_outage.test_an_outage_takes_no_more_memory_than_the_queue_may",
            "test_outage.test_when_the_database_is_back_the_memory_is_too",
        ],
    ),
    "R27": ("a storm of drops", ["test_overload.test_a_storm_of_drops_is_told_in_two_lines_at_most"]),
    "R28": ("drops are seen", ["test_overload.test_past_the_bound_each_policy_keeps_what_it_says_and_tells_the_rest"]),
    "R29": ("the books balance", ["test_handler.test_eight_threads_log_while_two_flush_and_the_books_balance"]),
    "R30": (
        "busy producers",
        ["test_outage.test_producers_that_never_idle_do_not_keep_batches_from_being_written"],
    ),
    "R31": ("one thread", ["test_worker.test_one_thread_with_a_name_started_by_the_first_item_and_ended_by_stop"]),
    "R32": (
        "the thread outlives anything",
        [
            "test_overload.test_any_exception_of_what_the_threads_loop_calls_is_outlived",
            "test_worker.test_the_thread_outlives_whatever_is_thrown_and_keeps_its_batch",
        ],
    ),
    "R33": ("owned until committed", ["test_worker.test_a_failed_batch_is_tried_again_in_order_and_told"]),
    "R34": (
        "a commit of unknown outcome",
        ["test_writer.test_a_batch_tried_again_after_it_was_committed_is_stored_once"],
    ),
    "R35": (
        "a poisoned record",
        [
            "test_poison.test_the_good_are_stored_and_the_bad_are_kept_with_the_reason",
            "test_splitting.test_refused_and_too_large_records_in_one_batch_keep_nobody_waiting",
        ],
    ),
    "R36": (
        "too large for the server",
        [
            "test_poison.test_a_record_too_large_for_the_server_costs_itself_at_most",
            "test_databases.test_a_large_message_is_stored_whole_or_cut_with_a_mark",
        ],
    ),
    "R37": ("NUL", ["test_strings.test_every_string_returns"]),
    "R38": ("surrogates, NaN, depth, cycles", ["test_capture.test_any_value_is_kept_as_json"]),
    "R39": ("flush means stored", ["test_handler.test_flush_stores_what_was_logged_for_any_other_connection"]),
    "R40": (
        "many processes, the same sessions",
        ["test_access.test_many_processes_start_at_once_where_there_is_no_database_yet"],
    ),
    "R41": (
        "SQLite locked by another",
        [
            "test_outage.test_a_lock_of_another_on_sqlite_is_outlasted_and_we_leave_none",
            "test_handler.test_a_locked_database_delays_and_loses_nothing",
        ],
    ),
    "R42": ("no age limit", ["test_outage.test_nothing_is_given_up_for_its_age_or_the_attempts_it_took"]),
    "R43": (
        "bounded statements on recovery",
        [
            "test_outage.test_a_backlog_is_drained_in_bounded_statements_and_transactions",
            "test_outage.test_first_retries_are_spread_and_leave_the_applications_random_numbers_alone",
        ],
    ),
    "R44": ("clocks", ["test_databases.test_instants_are_the_records_to_the_microsecond_wherever_host_and_server_are"]),
    "R45": ("a damaged journal", [JOURNAL]),
    "R46": ("kill -9 and a restart", [JOURNAL]),
    "R47": ("a large journal at the start", [JOURNAL]),
    "R48": (
        "tools for journal and dead letters",
        [
            "test_journal.test_inspect_shows_no_content_unless_asked",
            "test_journal.test_verify_tells_what_cannot_be_read",
            "test_journal.test_replay_stores_each_once_and_removes_what_is_stored",
            "test_journal.test_export_is_read_back",
        ],
    ),
    "R49": ("dictConfig", ["test_handler.test_dict_config", "test_handler.test_nothing_happens_in_the_constructor"]),
    "R50": (
        "configuration errors are told, and records kept",
        [
            "test_access.test_a_server_that_does_not_let_us_in_is_told_without_the_password",
            "test_poison.test_a_missing_table_costs_no_record",
        ],
    ),
}


def all_tests() -> set[str]:
    """Return every test that there is, as ``module.name``."""
    there = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        tree = syntax.tree(path.read_text(encoding="utf-8"))
        there |= {f"{path.stem}.{node.name}" for node in tree.body if isinstance(node, ast.FunctionDef)}
    return there


def table() -> list[str]:
    """Return a line for each requirement."""
    return [f"{number}  {what}: {'; '.join(shown_by)}" for number, (what, shown_by) in REQUIREMENTS.items()]
