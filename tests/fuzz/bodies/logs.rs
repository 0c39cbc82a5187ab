//! What the fuzz target `logs` does with its input; apart from the target because a test does the same with a bounded
//! number of inputs, on machines that have no fuzzer.

use sekisho::flows::foreign_log::{LogFormat, Mapping, read};

/// The columns that a table of attempts has by itself.
const HEAD: &[u8] = b"time,client,account,outcome,endpoint,lane\n";

/// No bytes panic the readers of other systems' logs, every line is accounted for, and attempts come in order.
pub fn logs(bytes: &[u8]) {
    let table = [HEAD, bytes].concat();
    for (format, text) in [
        (LogFormat::Csv, bytes),
        (LogFormat::Csv, &table[..]),
        (LogFormat::Nginx, bytes),
        (LogFormat::Authelia, bytes),
    ] {
        let mut taken = 0;
        let log = read(text, format, &Mapping::default(), |length| taken += length).expect("bytes can be read");
        assert_eq!(taken, text.len() as u64, "all of it is read");
        assert_eq!(log.lines, log.passed_over + log.refused + log.records.len() as u64);
        assert!(log.records.is_sorted_by_key(|record| record.at));
        assert!(log.refusals.iter().all(|refusal| refusal.line <= log.lines));
    }
}
