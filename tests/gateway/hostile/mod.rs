//! Hostile visitors: requests that two servers could read in two ways, paths that are not what they seem, floods, and
//! clients that never finish. The measure is always the same: what reached the upstream.
//!
//! What the gateway promises, and where it is proved; a test keeps each name true. Names begin with the file, under
//! `tests/gateway` or under `src`.
//!
//! | Promise | Proof |
//! |---|---|
//! | **1 Identity.** Every spelling of a protected name is deleted from a head | `headers::every_spelling_of_an_identity_header_is_stripped` |
//! | and from trailers, and cannot be nominated away | `headers::trailers_of_a_chunked_body_carry_no_identity`, `headers::a_client_cannot_nominate_our_headers_away` |
//! | no identity without a session | `proxying::nothing_reaches_the_upstream_without_a_session`, `headers::a_stranger_on_a_public_path_cannot_claim_to_be_anybody` |
//! | our cookie stays here, and the upstream cannot set it | `proxying::our_cookies_stop_here_in_both_directions`, `fuzz::no_mutation_of_a_cookie_line_takes_our_cookies_to_the_upstream` |
//! | **2 One reading.** Ambiguous framing is refused and closes | `hostile::heads::ambiguous_framing_is_refused_and_reaches_nobody`, `hostile::bodies::a_broken_chunked_body_does_not_become_a_second_request` |
//! | over HTTP/2 too | `hostile::http2::fields_that_would_mean_something_else_to_http1_reach_nobody`, `hostile::http2::a_body_that_is_not_as_long_as_it_was_said_to_be_is_no_request`, `hostile::http2::a_fragment_takes_no_part_in_where_a_request_goes` |
//! | an absolute form that disagrees with the host, or a host of nobody, is refused | `hostile::heads::a_request_for_another_host_is_misdirected`, `sites::a_host_of_no_site_is_misdirected` |
//! | whatever else is wrong with a request, it reaches nobody | `hostile::mutations::no_mutation_of_a_request_reaches_the_web_client_panics_or_hangs` |
//! | **3 Paths.** What no honest client sends is refused | `hostile::paths::paths_that_are_not_what_they_seem_are_refused` |
//! | what is left is judged on every reading; opening needs all, closing needs one | `access::every_spelling_of_a_path_is_answered_as_it_is_explained`, `domain::policy::a_rule_that_closes_closes_every_spelling`, `domain::policy::a_public_path_opens_plainly_and_in_no_other_spelling`, `hostile::paths::a_path_that_only_a_servlet_container_would_read_so_is_denied_too`, `fuzz::every_mutation_of_a_path_is_refused_or_harmless_in_every_reading` |
//! | queries, agents, hosts and headers never change a judgement | `hostile::paths::nothing_else_that_a_client_says_changes_a_judgement` |
//! | near misses of our routes are ours, and are not forwarded | `hostile::paths::a_near_miss_of_our_routes_never_reaches_the_upstream` |
//! | methods without a registered meaning are refused | `hostile::heads::methods_without_a_registered_meaning_are_refused` |
//! | **4 Early answers** leave nothing to be taken for the next request | `hostile::bodies::what_follows_an_early_answer_is_never_taken_for_a_request`, `hostile::bodies::a_form_that_is_too_large_is_refused_early`, `bodies::what_follows_a_body_that_is_too_large_is_never_taken_for_a_request` |
//! | **5 Bounds in total.** Handshake | `hostile::slow::a_handshake_that_never_ends_is_cut` |
//! | head, drop by drop | `hostile::slow::a_slow_head_is_cut_at_the_deadline_however_it_dribbles`, `hostile::http2::a_head_that_comes_drop_by_drop_holds_its_connection_no_longer_than_idleness_does` |
//! | our own bodies | `hostile::slow::a_slow_form_is_cut_at_the_deadline` |
//! | bytes and fields of a head | `hostile::heads::a_head_that_is_too_large_is_refused`, `hostile::http2::more_fields_than_a_head_may_have_are_refused` |
//! | connections in all and of one client | `hostile::slow::all_clients_together_cannot_take_more_connections_than_there_are`, `hostile::slow::one_client_cannot_take_every_connection` |
//! | streams of one connection | `hostile::http2::one_connection_has_no_more_streams_than_it_is_told` |
//! | idle connections, and readers that take nothing | `hostile::slow::a_connection_that_asks_for_nothing_more_is_closed`, `hostile::http2::who_takes_no_answer_is_cut_and_the_upstream_is_let_go`, `proxy::guarded::who_takes_nothing_of_an_answer_is_not_waited_for_without_end` |
//! | all of it counted | `hostile::slow::slow_clients_are_counted_by_what_they_were_slow_at` |
//! | floods of HTTP/2: rapid reset, `CONTINUATION`, and frames that ask for nothing | `hostile::http2::streams_that_are_reset_as_soon_as_they_begin_end_the_connection`, `hostile::http2::a_head_without_an_end_is_cut_whatever_its_pieces`, `hostile::http2::a_flood_of_frames_that_ask_for_nothing_costs_no_memory`, `hostile::http2::frames_that_break_the_protocol_end_the_connection`, `hostile::mutations::no_mutation_of_a_conversation_in_frames_reaches_the_web_client_panics_or_hangs` |
//! | an upgrade to anything but a WebSocket stays a request; nothing is cached | `proxying::an_upgrade_to_anything_else_stays_a_request`, `hostile::bodies::an_answer_is_kept_for_nobody_else` |
//! | **6 Client address.** The socket's, unless a listed proxy says otherwise; then the right-most hop that is none | `proxying::the_upstream_is_told_where_a_request_came_from_by_us_alone`, `proxying::a_trusted_proxy_is_believed_about_its_client_and_the_upstream_may_have_its_own_host`, `listeners::nobody_else_can_say_where_a_connection_comes_from`, `fuzz::no_mutation_of_a_forwarded_line_lets_a_stranger_say_where_it_comes_from` |
//! | nothing is trusted by default and the whole Internet never; IPv6 counts by /64 | `config::server::proxies::everybody_is_everybody_however_it_is_written`, `proxy::client::a_hundred_hops_are_nobodys_honest_chain`, `domain::client::ipv6_is_counted_by_its_64_and_ipv4_by_itself` |
//! | **7 Links** come from the configuration alone | `forgot_password::the_letter_follows_the_configured_doors_whatever_the_request_says` |
//! | return paths stay on the origin | `sign_in::signing_in_never_leads_to_somewhere_else`, `domain::target::a_return_path_never_leaves_the_origin`, `fuzz::no_mutation_of_a_return_path_leads_away` |
//! | **8 No enumeration** by words, status, size or headers | `sign_in::every_refusal_looks_the_same`, `forgot_password::everybody_gets_the_same_answer_and_only_one_account_gets_a_letter`, `welcome::an_invented_link_is_refused_like_any_other_that_is_long_gone` |
//! | nor by time, with hashes of other systems either | `enumeration::sign_in_takes_as_long_for_everybody`, `enumeration::forgot_password_takes_as_long_for_everybody`, `enumeration::sign_in_takes_as_long_for_whoever_has_an_imported_hash` |
//! | no mail is sent in a request | `outage::a_mail_server_that_is_down_delays_letters_and_nothing_else` |
//! | **9 Tickets** are spent once | `welcome::ten_who_use_one_link_at_once_set_one_password`, `hostile::races::twenty_who_use_one_link_at_once_set_one_password_and_it_works` |
//! | what was acknowledged is durable | `crash::kill_9_at_random_moments_loses_nothing_that_was_acknowledged` |
//! | looking changes nothing | `surface::a_look_changes_nothing`, `links::heads_and_prefetches_count_nothing_set_nothing_and_spend_nothing` |
//! | odd addresses reach one account or none | `forgot_password::an_address_that_could_reach_two_mailboxes_reaches_none`, `sign_in::a_body_with_two_meanings_signs_nobody_in` |
//! | a ticket dies with the address, the account, a newer one, a restored backup | `letters::a_new_address_is_told_to_both_and_old_links_end`, `welcome::a_disabled_account_cannot_use_its_link`, `welcome::only_the_newest_link_of_an_account_works`, `backup::a_backup_made_while_the_server_runs_serves_on_a_new_machine_where_nobody_is_signed_in` |
//! | no sign-in by a reset, and other sessions end | `forgot_password::a_forgotten_password_is_replaced_by_link` |
//! | **10 Passwords** as typed, one normal form, counted in code points | `welcome::both_unicode_spellings_of_a_password_are_one_password`, `welcome::the_longest_password_is_accepted_and_one_more_character_is_not`, `domain::password::length_counts_code_points_and_too_long_is_refused` |
//! | refused with the reason; a preset; a change asks for the current one | `passwords::common_and_listed_passwords_are_refused_and_a_damaged_list_stops_the_start`, `passwords::the_phone_systems_rule_is_told_all_at_once_in_both_languages_and_can_be_met`, `account_page::a_password_is_changed_other_browsers_end_and_a_letter_says_so` |
//! | **11 Sessions** are fresh at each sign-in and end on the server | `sign_in::each_sign_in_begins_a_new_session_and_ends_the_old_one_of_that_browser`, `sign_in::a_session_somebody_else_planted_is_not_taken_over`, `sign_out::signing_out_ends_the_session_on_the_server` |
//! | limits that cannot be slid | `sign_in::a_session_ends_without_use_and_at_its_absolute_limit`, `streams::a_new_token_postpones_no_limit_of_the_session` |
//! | two different cookies are refused | `sign_out::two_different_session_cookies_are_nobodys` |
//! | what ends a session does so within a second, streams included | `cli::a_disabled_account_stops_within_a_second_and_comes_back_without_its_sessions`, `access::a_change_of_groups_is_in_force_within_a_second`, `single_page::silent_streams_end_with_their_session_whatever_ends_it`, `sign_out::signing_out_closes_what_is_still_open` |
//! | a WebSocket says where it comes from | `proxying::a_foreign_page_cannot_open_a_websocket` |
//! | **12 Cross-site** posts are refused, and JSON under another name | `sign_in::a_foreign_page_cannot_sign_anybody_in`, `sign_out::a_foreign_page_cannot_sign_anybody_out`, `forgot_password::a_foreign_page_cannot_ask_for_a_link`, `web::tests::surface::every_post_from_another_site_is_refused_before_anything_is_done`, `sign_in::json_is_not_taken_under_another_name` |
//! | **13 Assertion** | `proxying::every_request_carries_a_statement_of_who_is_asking_that_verifies`, `cli::a_removed_account_is_gone_and_a_new_one_with_its_number_is_somebody_else`, `headers::an_odd_name_makes_one_sound_statement`, `proxying::a_rotated_key_takes_over_and_the_old_one_stays_published` |
//! | our own verifiers take nothing else | `verifiers::a_verifier_accepts_what_is_right_and_nothing_else`, `upstream_verify::the_sample_web_client_comes_out_clean_and_every_try_is_an_event` |
//! | **14 Limits** reserve before work | `limits::fifty_guesses_at_once_are_judged_no_more_than_the_quota` |
//! | one budget for every path that tells | `account_page::guesses_in_a_session_are_bounded_and_lock_nobody_out_of_signing_in`, `web::tests::account::guessing_the_old_password_runs_into_the_limits_of_signing_in` |
//! | spellings are one key, invented names count alike | `domain::folding::every_spelling_of_an_extension_is_read_as_one`, `limits::names_that_do_not_exist_are_counted_alike` |
//! | a success elsewhere refunds nothing; a reload keeps what was counted | `limits::success_gives_back_its_own_draw_and_clears_nothing_else`, `hostile::races::a_reload_frees_nobody_who_has_guessed_too_often` |
//! | the table is bounded and evicts nobody's ban | `store::limiter::a_million_invented_names_stay_under_64_mib_and_free_nobody_with_a_policy_on_trial_beside`, `domain::limits::tests::ledger::a_million_invented_names_take_bounded_memory_and_free_nobody` |
//! | **15 Hashing** is bounded | `outage::a_full_hashing_queue_is_a_503_and_signed_in_people_do_not_feel_it` |
//! | **16 Outages** open no door | `outage::a_database_that_somebody_else_holds_closes_doors_and_opens_them_again`, `outage::letters_wait_through_a_restart_and_through_a_crash`, `proxying::a_web_client_that_is_gone_is_a_502_until_it_is_back`, `store::sqlite::the_database_is_set_up_so_that_nothing_acknowledged_is_lost`, `cli::a_second_server_on_the_same_store_is_refused` |
//! | **17 Secrets** are in no log, event, metric, error or backup, and nobody forges a line | `logs::nothing_secret_is_ever_printed_or_stored`, `logs::the_log_is_one_json_object_a_line_and_nobody_can_forge_one`, `backup::no_secret_the_test_knows_is_in_a_backup_the_database_its_log_or_anything_printed` |
//! | pages are armoured; errors say nothing of what answers | `sign_in::our_pages_allow_no_script_frame_or_cache`, `listeners::browsers_are_kept_on_tls_by_every_answer`, `hostile::bodies::no_error_says_what_answers` |
//! | what a person saw is private | `proxying::what_a_person_saw_stays_out_of_shared_caches` |
//! | **18 Administration** is nowhere by accident, and not for a name that was made to point here | `metrics::metrics_are_asked_for_at_home_and_nowhere_else`, `telemetry::endpoint::a_name_made_to_point_here_is_refused_on_loopback_and_only_there`, `web::tests::surface::a_route_for_administrators_admits_no_other_person` |
//! | the last administrator stays | `cli::the_last_administrator_stays` |

mod bodies;
mod figures;
mod heads;
mod http2;
mod mutations;
mod paths;
mod races;
mod slow;

use std::fs;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::visitor::Heard;
use crate::harness::{House, Visitor, soon};

/// A house with somebody signed in, whose session would open every door.
struct Scene {
    house: House,
    visitor: Visitor,
    cookie: String,
}

impl Scene {
    async fn set(overrides: &str) -> Self {
        let house = House::with(overrides).await;
        let person = house.welcome("101").await;
        let visitor = house.signed_in(&person).await;
        let cookie = format!("Cookie: __Host-sekisho={}\r\n", visitor.session());
        Self { house, visitor, cookie }
    }

    /// Says this on a bare connection; `{cookie}` stands for a live session.
    async fn say(&self, bytes: &str) -> Heard {
        let mut raw = self.visitor.raw().await;
        raw.say(bytes.replace("{cookie}", &self.cookie)).await;
        raw.hear_for(Duration::from_secs(3)).await
    }

    /// Says this, and expects a refusal of one of these kinds that closes and reaches nobody.
    #[track_caller]
    fn refuses<'a>(&'a self, bytes: &'a str, statuses: &'a [u16]) -> impl Future<Output = ()> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            let before = self.house.upstream.count();
            let heard = self.say(bytes).await;
            let status = heard.status();
            let refused = status.is_some_and(|status| statuses.contains(&status)) || (status.is_none() && heard.closed);
            assert!(refused, "{caller}: {bytes:?} was answered {heard:?}");
            assert!(
                heard.closed,
                "{caller}: the connection stays open after {bytes:?}: {heard:?}"
            );
            assert!(heard.statuses().len() <= 1, "{caller}: {heard:?}");
            assert_eq!(
                self.house.upstream.count(),
                before,
                "{caller}: {bytes:?} reached the upstream"
            );
        }
    }

    /// A series' value.
    async fn metric(&self, series: &str) -> u64 {
        let talk = async {
            let mut connection = TcpStream::connect(self.house.gateway.metrics()).await.unwrap();
            let head = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
            connection.write_all(head).await.unwrap();
            let mut answer = String::new();
            connection.read_to_string(&mut answer).await.unwrap();
            answer
        };
        let answer = soon("an answer from the metrics listener", talk).await;
        let mut lines = answer.lines();
        let line = lines.find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{series} is not there: {answer}"))
            .parse()
            .unwrap()
    }
}

/// Whether a test of this name is where the table says.
fn is_there(name: &str) -> bool {
    let (file, test) = name.rsplit_once("::").expect("a file and a test");
    let file = file.replace("::", "/");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let wanted = format!("fn {test}(");
    ["tests/gateway", "src"].iter().any(|folder| {
        let places = [
            format!("{file}.rs"),
            format!("{file}/mod.rs"),
            format!("{file}/tests.rs"),
        ];
        let mut texts = places
            .iter()
            .filter_map(|place| fs::read_to_string(root.join(folder).join(place)).ok());
        texts.any(|text| text.contains(&wanted))
    })
}

#[test]
fn every_promise_names_tests_that_exist() {
    let table = include_str!("mod.rs").lines().filter(|line| line.starts_with("//! | "));
    let mut proofs = 0;
    for line in table.skip(1) {
        let proof = line.trim_end_matches(" |").rsplit(" | ").next().expect("a proof");
        let names: Vec<&str> = proof.split('`').filter(|name| name.contains("::")).collect();
        assert!(!names.is_empty(), "nothing proves {line}");
        for name in names {
            assert!(is_there(name), "{name} is not there");
            proofs += 1;
        }
    }
    assert!(proofs > 80, "{proofs} proofs");
}
