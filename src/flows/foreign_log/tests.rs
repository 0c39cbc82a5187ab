//! Logs of other systems, well-meant and hostile.

use std::fmt::Write as _;
use std::net::IpAddr;

use proptest::prelude::*;

use super::*;

fn try_read(format: LogFormat, typed: &[&str], text: &[u8]) -> ForeignLog {
    let mapping = Mapping::parse(format, typed).unwrap();
    let mut bytes = 0;
    let log = read(text, format, &mapping, |more| bytes += more).unwrap();
    assert_eq!(bytes, text.len() as u64);
    log
}

fn read_all(format: LogFormat, typed: &[&str], text: &str) -> Vec<AttemptRecord> {
    let log = try_read(format, typed, text.as_bytes());
    assert_eq!(log.refusals, []);
    log.records
}

/// Second, client, outcome.
fn seen(record: &AttemptRecord) -> (i64, String, Option<Outcome>) {
    (record.at.as_second(), record.client.to_string(), record.outcome)
}

const HEAD: &str = "time,client,account,outcome\n";

#[test]
fn a_table_is_read_with_all_its_columns() {
    let text = "\u{feff}outcome,Time,client,account,endpoint,lane,more\r\n\
        succeeded,2026-01-31T09:00:00+09:00,192.0.2.7,101,sign-in,known,x\r\n\
        failed,1769817601.5,[2001:db8::7],\"o\"\"hara, sam\",forgot-password,strangers,\n\
        \n\
        refused,2026-01-31 00:00:02Z,192.0.2.7,,,,\n";
    let records = read_all(LogFormat::Csv, &[], text);
    let noon = 1_769_817_600;
    assert_eq!(
        records.iter().map(seen).collect::<Vec<_>>(),
        [
            (noon, "192.0.2.7".to_owned(), Some(Outcome::Succeeded)),
            (noon + 1, "2001:db8::7".to_owned(), Some(Outcome::Failed)),
            (noon + 2, "192.0.2.7".to_owned(), None),
        ]
    );
    assert_eq!(records[1].at.subsec_nanosecond(), 500_000_000);
    assert_eq!((records[0].lane, records[0].device.is_some()), (LaneKind::Known, true));
    assert_eq!(records[1].endpoint, Endpoint::ForgotPassword);
    assert_eq!(records[2].account, None);
    assert!(matches!(records[2].active, Verdict::Refused(_)));
}

#[test]
fn columns_and_words_of_another_system_are_mapped() {
    let text = "ts,ip,who,result\n1769817600,192.0.2.7,101,granted\n1769817601,192.0.2.7,101,Nope\n";
    let map = [
        "time=ts",
        "client=ip",
        "account=who",
        "outcome=result",
        "succeeded=granted,yes",
        "failed=nope",
    ];
    let outcomes: Vec<_> = read_all(LogFormat::Csv, &map, text)
        .iter()
        .map(|record| record.outcome)
        .collect();
    assert_eq!(outcomes, [Some(Outcome::Succeeded), Some(Outcome::Failed)]);
}

#[test]
fn spellings_of_one_name_are_one_account_and_names_are_not_kept() {
    let text = format!(
        "{HEAD}1,192.0.2.7,Sam@Example.com,failed\n2,192.0.2.7,sam@example.com,failed\n3,192.0.2.7,101,ok\n4,192.0.2.7,１０１,ok\n5,192.0.2.7,x,ok\n"
    );
    let accounts: Vec<_> = read_all(LogFormat::Csv, &[], &text)
        .iter()
        .map(|record| record.account)
        .collect();
    assert_eq!(accounts[0], accounts[1]);
    assert_eq!(accounts[2], accounts[3]);
    assert_ne!(accounts[0], accounts[2]);
}

#[test]
fn each_line_that_cannot_be_understood_is_told_with_its_number_and_why() {
    let text = format!(
        "{HEAD}yesterday,192.0.2.7,101,ok\n1,localhost,101,ok\n2,192.0.2.7,101,perhaps\n3,192.0.2.7,101\n4,192.0.2.7,\"101,ok\n\
         5,192.0.2.7,\"101\"x,ok\n6,192.0.2.7,101,ok\n"
    );
    let log = try_read(LogFormat::Csv, &[], text.as_bytes());
    assert_eq!((log.records.len(), log.refused, log.lines), (1, 6, 8));
    let told: Vec<_> = log
        .refusals
        .iter()
        .map(|refusal| (refusal.line, refusal.why.as_str()))
        .collect();
    for (line, words) in [
        (2, "\"yesterday\" is no time"),
        (3, "\"localhost\" is no client address"),
        (4, "\"perhaps\" is no outcome"),
        (5, "it has 3 cells, and the head has 4"),
        (6, "a quotation mark is not closed"),
        (7, "something follows a closing quotation mark"),
    ] {
        assert!(
            told.iter().any(|(number, why)| *number == line && why.contains(words)),
            "{line} {words}: {told:?}"
        );
    }
    let log = try_read(
        LogFormat::Csv,
        &[],
        b"when,client,account,outcome\n1,192.0.2.7,101,ok\n",
    );
    assert!(log.refusals[0].why.contains("--map time=COLUMN"), "{:?}", log.refusals);
}

#[test]
fn a_huge_line_and_bytes_that_are_no_text_are_refused_and_the_rest_is_read() {
    let mut text = HEAD.as_bytes().to_vec();
    text.extend_from_slice(b"1,192.0.2.7,");
    text.extend(std::iter::repeat_n(b'a', 3 << 20));
    text.extend_from_slice(b",ok\n2,192.0.2.7,\xff\xfe,ok\n3,192.0.2.7,101,ok\n4,192.0.2.7,\0,ok");
    let log = try_read(LogFormat::Csv, &[], &text);
    assert_eq!((log.records.len(), log.lines), (2, 5));
    let whys: Vec<_> = log
        .refusals
        .iter()
        .map(|refusal| (refusal.line, refusal.why.clone()))
        .collect();
    assert!(whys[0].0 == 2 && whys[0].1.contains("65536 are the most"), "{whys:?}");
    assert!(
        whys[1].0 == 3 && whys[1].1.contains("byte 13 of the line is no UTF-8"),
        "{whys:?}"
    );
}

#[test]
fn many_bad_lines_are_counted_and_only_the_first_are_told() {
    let text = HEAD.to_owned() + &"bad\n".repeat(10_000);
    let log = try_read(LogFormat::Csv, &[], text.as_bytes());
    assert_eq!((log.refused, log.refusals.len()), (10_000, MOST_REFUSALS));
}

#[test]
fn times_out_of_order_are_put_in_order_and_told() {
    let text = format!("{HEAD}5,192.0.2.5,a,ok\n3,192.0.2.3,a,ok\n4,192.0.2.4,a,ok\n5,192.0.2.6,a,ok\n");
    let log = try_read(LogFormat::Csv, &[], text.as_bytes());
    let clients: Vec<_> = log.records.iter().map(|record| record.client.to_string()).collect();
    assert_eq!(clients, ["192.0.2.3", "192.0.2.4", "192.0.2.5", "192.0.2.6"]);
    assert_eq!(log.out_of_order, 2);
}

#[test]
fn posts_to_the_login_page_are_attempts_by_their_status() {
    let line = |ip: &str, user: &str, request: &str, status: &str| {
        format!("{ip} - {user} [31/Jan/2026:09:00:00 +0900] \"{request}\" {status} 512 \"-\" \"Mozilla \\\"x\\\"\"\n")
    };
    let text = [
        line("192.0.2.1", "-", "POST /login?next=/a HTTP/2.0", "303"),
        line("192.0.2.2", "-", "POST /login HTTP/1.1", "200"),
        line("2001:db8::3", "sam [x", "POST /login HTTP/1.1", "429"),
        line("192.0.2.4", "-", "POST /login HTTP/1.1", "502"),
        line("192.0.2.5", "-", "GET /login HTTP/1.1", "200"),
        line("192.0.2.6", "-", "POST /loginx HTTP/1.1", "200"),
        line("192.0.2.7", "-", "\\x16\\x03\\x01", "400"),
    ]
    .concat();
    let log = try_read(LogFormat::Nginx, &[], text.as_bytes());
    assert_eq!(
        (log.records.len(), log.passed_over, log.refused),
        (4, 3, 0),
        "{:?}",
        log.refusals
    );
    let outcomes: Vec<_> = log.records.iter().map(|record| record.outcome).collect();
    let (succeeded, failed) = (Some(Outcome::Succeeded), Some(Outcome::Failed));
    assert_eq!(outcomes, [succeeded, failed, None, Some(Outcome::NotTried)]);
    assert_eq!(log.records[0].at.as_second(), 1_769_817_600);
    assert_eq!((log.records[0].account, log.records[2].account.is_some()), (None, true));

    let text =
        line("192.0.2.1", "-", "POST /auth HTTP/2.0", "200") + &line("192.0.2.1", "-", "POST /auth HTTP/2.0", "302");
    let map = ["path=/auth", "succeeded=200,204", "failed=302"];
    let outcomes: Vec<_> = read_all(LogFormat::Nginx, &map, &text)
        .iter()
        .map(|record| record.outcome)
        .collect();
    assert_eq!(outcomes, [succeeded, failed]);
}

#[test]
fn a_name_cannot_write_another_line_of_the_log() {
    // Brackets in a name of HTTP authentication; a quotation mark is escaped by the server.
    let text = "192.0.2.1 - x [01/Jan/1999:00:00:00 +0000] \\x22POST /login [31/Jan/2026:09:00:00 +0900] \"POST /login HTTP/1.1\" 401 1 \"-\" \"-\"\n";
    let records = read_all(LogFormat::Nginx, &[], text);
    assert_eq!(
        (records[0].at.as_second(), records[0].outcome),
        (1_769_817_600, Some(Outcome::Failed))
    );
}

#[test]
fn first_factors_of_authelia_are_read_as_text_and_as_json() {
    let text = r#"time="2026-01-31T09:00:00+09:00" level=error msg="Unsuccessful 1FA authentication attempt by user 'john'" error="user not found" method=POST path=/api/firstfactor remote_ip=192.0.2.1
time="2026-01-31T09:00:01+09:00" level=debug msg="Successful 1FA authentication attempt made by user 'john'" method=POST path=/api/firstfactor remote_ip=192.0.2.1
time="2026-01-31T09:00:02+09:00" level=error msg="Unsuccessful 1FA authentication attempt by user 'o\"hara' and they are banned until 5:00:00AM on January 31 2026" method=POST path=/api/firstfactor remote_ip=192.0.2.2
time="2026-01-31T09:00:03+09:00" level=error msg="Unsuccessful TOTP authentication attempt by user 'john'" remote_ip=192.0.2.1
time="2026-01-31T09:00:04+09:00" level=info msg="Startup complete"
{"level":"error","method":"POST","msg":"Unsuccessful 1FA authentication attempt by user 'john': password does not match","path":"/api/firstfactor","remote_ip":"2001:db8::1","time":"2026-01-31T09:00:05+09:00"}
	stack trace of something
"#;
    let log = try_read(LogFormat::Authelia, &[], text.as_bytes());
    assert_eq!(log.refusals, []);
    let noon = 1_769_817_600;
    assert_eq!(
        log.records.iter().map(seen).collect::<Vec<_>>(),
        [
            (noon, "192.0.2.1".to_owned(), Some(Outcome::Failed)),
            (noon + 1, "192.0.2.1".to_owned(), Some(Outcome::Succeeded)),
            (noon + 2, "192.0.2.2".to_owned(), None),
            (noon + 5, "2001:db8::1".to_owned(), Some(Outcome::Failed)),
        ]
    );
    assert_eq!(log.records[0].account, log.records[3].account);
    let broken = b"{\"level\":\"error\"\ntime=x msg=\"Unsuccessful 1FA authentication attempt by user 'john'\"\n";
    let log = try_read(LogFormat::Authelia, &[], broken);
    assert_eq!(log.refused, 2, "{:?}", log.refusals);
}

#[test]
fn a_mapping_says_what_is_wrong_with_it() {
    let wrong = |format, typed: &[&str]| Mapping::parse(format, typed).unwrap_err().to_string();
    assert!(wrong(LogFormat::Csv, &["ip"]).contains("KEY=VALUE"));
    assert!(wrong(LogFormat::Csv, &["ip=x"]).contains("there are time, client"));
    assert!(wrong(LogFormat::Csv, &["time=x", "time=y"]).contains("twice"));
    assert!(wrong(LogFormat::Nginx, &["succeeded=ok"]).contains("statuses"));
    assert!(wrong(LogFormat::Authelia, &["time=x"]).contains("no keys"));
}

proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic_and_times_are_always_in_order(
        bytes in prop::collection::vec(any::<u8>(), 0..2000),
        lines in prop::collection::vec("[ -~]{0,60}", 0..30),
    ) {
        for format in [LogFormat::Csv, LogFormat::Nginx, LogFormat::Authelia] {
            let mapping = Mapping::default();
            let text = [HEAD.as_bytes(), &bytes[..], &b"\n"[..], lines.join("\n").as_bytes()].concat();
            let log = read(&text[..], format, &mapping, |_| {}).unwrap();
            prop_assert!(log.records.is_sorted_by_key(|record| record.at));
        }
    }

    #[test]
    fn what_is_written_as_a_table_reads_back(
        told in prop::collection::vec((0_i64..4_000_000_000, any::<u32>(), "[a-z\", ]{0,12}", 0_usize..3), 0..40),
    ) {
        let words = ["succeeded", "failed", "refused"];
        let mut text = HEAD.to_owned();
        for (second, client, account, word) in &told {
            let (client, account) = (IpAddr::from(client.to_be_bytes()), account.replace('"', "\"\""));
            writeln!(text, "{second},{client},\"{account}\",{}", words[*word]).unwrap();
        }
        let mut records = read_all(LogFormat::Csv, &[], &text);
        let mut wanted: Vec<_> = told
            .iter()
            .map(|(second, client, _, word)| {
                let outcome = [Some(Outcome::Succeeded), Some(Outcome::Failed), None][*word];
                (*second, IpAddr::from(client.to_be_bytes()).to_string(), outcome)
            })
            .collect();
        wanted.sort_by_key(|(second, ..)| *second);
        let read: Vec<_> = records.drain(..).map(|record| seen(&record)).collect();
        prop_assert_eq!(read, wanted);
    }
}
