//! The made-up people of the demonstration and the dice that move them.

use super::floor::{CallRecord, Ending, Peer, Status};

/// A made-up colleague.
pub struct Colleague {
    /// Name and extension.
    pub peer: Peer,
    /// The key of the team's name.
    pub team: &'static str,
    /// What they do while not on a call.
    pub status: Status,
}

/// Extension, name, name in Japanese, team, and what they do at first.
const TEAM: [(&str, &str, &str, &str, Status); 12] = [
    ("7001", "Aoi Nakamura", "中村 葵", "reception", Status::Available),
    (
        "7002",
        "Daniel Brandt",
        "ダニエル・ブラント",
        "sales",
        Status::Available,
    ),
    ("7003", "Haruka Mori", "森 遥", "support", Status::Available),
    ("7004", "Kenji Watanabe", "渡辺 健二", "engineering", Status::Meeting),
    ("7005", "Laura Petit", "ローラ・プティ", "sales", Status::Away),
    ("7006", "Minh Tran", "ミン・チャン", "engineering", Status::Available),
    ("7007", "Naoki Fujita", "藤田 直樹", "warehouse", Status::Available),
    ("7008", "Priya Raman", "プリヤ・ラマン", "support", Status::Available),
    ("7009", "Ren Takahashi", "高橋 蓮", "support", Status::Available),
    (
        "7010",
        "Sofia Almeida",
        "ソフィア・アルメイダ",
        "accounting",
        Status::Meeting,
    ),
    ("7011", "Tomoko Ishii", "石井 智子", "accounting", Status::Available),
    ("7012", "Yuto Shimizu", "清水 悠斗", "warehouse", Status::Available),
];

/// Everybody made up.
pub fn team() -> Vec<Colleague> {
    TEAM.into_iter()
        .map(|(ext, name, name_ja, team, status)| Colleague {
            peer: Peer {
                ext: ext.to_owned(),
                name: name.to_owned(),
                name_ja: Some(name_ja),
            },
            team,
            status,
        })
        .collect()
}

/// A number that is nobody's: 555-01xx is set aside for fiction.
pub fn outside(dice: &mut Dice) -> Peer {
    let number = format!("+1 202 555 01{:02}", dice.below(100));
    Peer {
        ext: number.clone(),
        name: number,
        name_ja: None,
    }
}

/// Calls of the last hour, oldest first, so that the log does not start empty.
pub fn earlier(now: i64, dice: &mut Dice, team: &[Colleague]) -> Vec<CallRecord> {
    let mut at = now - 3600;
    (1..=8)
        .map(|id| {
            at += dice.between(200, 420);
            let first = dice.below(team.len());
            let second = (first + 1 + dice.below(team.len() - 1)) % team.len();
            let ending = match dice.below(6) {
                0 => Ending::NoAnswer,
                1 => Ending::Declined,
                _ => Ending::HungUp,
            };
            CallRecord {
                id,
                at,
                from: if id % 3 == 0 {
                    outside(dice)
                } else {
                    team[first].peer.clone()
                },
                to: team[second].peer.clone(),
                seconds: (ending == Ending::HungUp).then(|| dice.between(20, 190)),
                ending,
            }
        })
        .collect()
}

/// Chance for the stage: repeatable, and of no use for anything secret (`SplitMix64`).
pub struct Dice(u64);

impl Dice {
    /// From any number.
    pub fn new(seed: i64) -> Self {
        Self(seed.cast_unsigned())
    }

    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 up to, and without, `end`.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.roll() % end.max(1) as u64).unwrap_or(0)
    }

    /// From `low` to `high`, both included.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        low + i64::try_from(self.roll() % (high - low + 1).unsigned_abs()).unwrap_or(0)
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// What somebody does after this.
    pub fn next_status(&mut self, status: Status) -> Status {
        match status {
            Status::Available if self.one_in(3) => Status::Meeting,
            Status::Available if self.one_in(2) => Status::Away,
            _ => Status::Available,
        }
    }
}
