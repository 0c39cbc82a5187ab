//! Who is hashed for next, and who is sent away when there is no room. No thread, no clock, no lock: whoever holds a line
//! decides when to ask.
//!
//! Known devices come first, but every eighth turn is a stranger's while one waits: no device that is known can keep
//! strangers out for ever, whatever its owner does with it. Within each lane the subnets take turns, so that one that
//! floods waits for itself alone. Where everything is taken, the newest of the subnet that waits with most makes room, and
//! somebody known never does while a stranger waits.
//!
//! A subnet may hold three quarters of all places in each lane, so that whoever comes from elsewhere finds one free most
//! of the time and drives nobody out.

use std::collections::VecDeque;
use std::net::IpAddr;

use crate::domain::limits::attempt::LaneKind;
use crate::ports::Place;

/// Of so many turns one is a stranger's, while strangers wait.
pub const TURNS: u32 = 8;

/// Whoever waits.
pub struct Line<T> {
    known: Lane<T>,
    strangers: Lane<T>,
    most_of_subnet: usize,
    /// Turns that known devices have had one after the other while strangers waited.
    in_a_row: u32,
    arrivals: u64,
}

/// What became of whoever joined the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joined<T> {
    /// There was room.
    Waits,
    /// There was none, and this one has made room.
    InPlaceOf(T, LaneKind),
    /// This one is sent away itself.
    TurnedAway(T),
}

impl<T> Line<T> {
    /// For so many places, those of whoever is being served among them.
    pub const fn new(places: usize) -> Self {
        let most_of_subnet = places - places / 4;
        Self {
            known: Lane::new(),
            strangers: Lane::new(),
            most_of_subnet,
            in_a_row: 0,
            arrivals: 0,
        }
    }

    /// Somebody comes while `room` may wait in all.
    pub fn join(&mut self, item: T, place: Place, room: usize) -> Joined<T> {
        let lane = match place.lane {
            LaneKind::Known => &self.known,
            LaneKind::Strangers => &self.strangers,
        };
        let own = lane.waiting_of(place.subnet);
        if own >= self.most_of_subnet {
            return Joined::TurnedAway(item);
        }
        let displaced = if self.len() < room {
            None
        } else {
            let Some(displaced) = self.make_room(place, own) else {
                return Joined::TurnedAway(item);
            };
            Some(displaced)
        };
        self.arrivals += 1;
        let arrival = self.arrivals;
        self.lane(place.lane).push(place.subnet, arrival, item);
        match displaced {
            None => Joined::Waits,
            Some((item, lane)) => Joined::InPlaceOf(item, lane),
        }
    }

    /// Whoever makes room for somebody from this place, whose subnet waits with `own` already.
    fn make_room(&mut self, place: Place, own: usize) -> Option<(T, LaneKind)> {
        let from = match place.lane {
            LaneKind::Known if self.strangers.len == 0 => LaneKind::Known,
            LaneKind::Known | LaneKind::Strangers => LaneKind::Strangers,
        };
        let lane = self.lane(from);
        // Whoever comes is the newest of the own subnet; where that one waits with most, nobody else makes room.
        if from == place.lane && lane.most() <= own + 1 {
            return None;
        }
        lane.pop_newest_of_largest().map(|item| (item, from))
    }

    /// Whose turn it is.
    pub fn next(&mut self) -> Option<(T, LaneKind)> {
        let strangers_turn = self.known.len == 0 || (self.strangers.len > 0 && self.in_a_row + 1 >= TURNS);
        if strangers_turn {
            self.in_a_row = 0;
            return self.strangers.pop_in_turn().map(|item| (item, LaneKind::Strangers));
        }
        self.in_a_row = if self.strangers.len > 0 { self.in_a_row + 1 } else { 0 };
        self.known.pop_in_turn().map(|item| (item, LaneKind::Known))
    }

    /// Drops whoever does not wait any more. Answers how many.
    pub fn retain(&mut self, waits: impl Fn(&T) -> bool) -> usize {
        self.known.retain(&waits) + self.strangers.retain(&waits)
    }

    /// How many wait.
    pub const fn len(&self) -> usize {
        self.known.len + self.strangers.len
    }

    /// How many wait in a lane.
    pub const fn waiting(&self, lane: LaneKind) -> usize {
        match lane {
            LaneKind::Known => self.known.len,
            LaneKind::Strangers => self.strangers.len,
        }
    }

    const fn lane(&mut self, lane: LaneKind) -> &mut Lane<T> {
        match lane {
            LaneKind::Known => &mut self.known,
            LaneKind::Strangers => &mut self.strangers,
        }
    }
}

/// One lane: its subnets in the order of their turns, none of them empty.
struct Lane<T> {
    subnets: VecDeque<Subnet<T>>,
    len: usize,
}

struct Subnet<T> {
    network: IpAddr,
    /// With the number of their arrival.
    waiting: VecDeque<(u64, T)>,
}

impl<T> Lane<T> {
    const fn new() -> Self {
        Self {
            subnets: VecDeque::new(),
            len: 0,
        }
    }

    fn waiting_of(&self, network: IpAddr) -> usize {
        let own = self.subnets.iter().find(|subnet| subnet.network == network);
        own.map_or(0, |subnet| subnet.waiting.len())
    }

    fn most(&self) -> usize {
        let sizes = self.subnets.iter().map(|subnet| subnet.waiting.len());
        sizes.max().unwrap_or_default()
    }

    fn push(&mut self, network: IpAddr, arrival: u64, item: T) {
        self.len += 1;
        if let Some(own) = self.subnets.iter_mut().find(|subnet| subnet.network == network) {
            own.waiting.push_back((arrival, item));
        } else {
            let waiting = VecDeque::from([(arrival, item)]);
            self.subnets.push_back(Subnet { network, waiting });
        }
    }

    /// The oldest of the subnet whose turn it is; that one's next turn comes after all others'.
    fn pop_in_turn(&mut self) -> Option<T> {
        let mut subnet = self.subnets.pop_front()?;
        let (_, item) = subnet.waiting.pop_front()?;
        self.len -= 1;
        if !subnet.waiting.is_empty() {
            self.subnets.push_back(subnet);
        }
        Some(item)
    }

    fn pop_newest_of_largest(&mut self) -> Option<T> {
        let size_and_newest = |subnet: &Subnet<T>| (subnet.waiting.len(), subnet.waiting.back().map(|(at, _)| *at));
        let largest = (0..self.subnets.len()).max_by_key(|index| size_and_newest(&self.subnets[*index]))?;
        let (_, item) = self.subnets[largest].waiting.pop_back()?;
        self.len -= 1;
        if self.subnets[largest].waiting.is_empty() {
            self.subnets.remove(largest);
        }
        Some(item)
    }

    fn retain(&mut self, waits: impl Fn(&T) -> bool) -> usize {
        let before = self.len;
        for subnet in &mut self.subnets {
            subnet.waiting.retain(|(_, item)| waits(item));
        }
        self.subnets.retain(|subnet| !subnet.waiting.is_empty());
        self.len = self.subnets.iter().map(|subnet| subnet.waiting.len()).sum();
        before - self.len
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use proptest::prelude::*;

    use super::*;

    fn place(lane: LaneKind, subnet: u8) -> Place {
        Place {
            lane,
            subnet: [192, 0, subnet, 0].into(),
        }
    }

    fn known(subnet: u8) -> Place {
        place(LaneKind::Known, subnet)
    }

    fn stranger(subnet: u8) -> Place {
        place(LaneKind::Strangers, subnet)
    }

    /// A line of those who came in this order.
    fn line(places: usize, who: &[(Place, &'static str)]) -> Line<&'static str> {
        let mut line = Line::new(places);
        for (place, name) in who {
            assert_eq!(line.join(*name, *place, places), Joined::Waits, "{name}");
        }
        line
    }

    fn turns<T>(line: &mut Line<T>) -> Vec<T> {
        std::iter::from_fn(|| line.next().map(|(item, _)| item)).collect()
    }

    #[test]
    fn known_devices_come_first_and_subnets_take_turns() {
        let mut line = line(
            16,
            &[
                (stranger(1), "flood 1"),
                (stranger(1), "flood 2"),
                (stranger(1), "flood 3"),
                (stranger(2), "somebody"),
                (known(1), "owner"),
                (known(3), "colleague"),
                (stranger(2), "somebody again"),
            ],
        );
        assert_eq!(
            turns(&mut line),
            [
                "owner",
                "colleague",
                "flood 1",
                "somebody",
                "flood 2",
                "somebody again",
                "flood 3"
            ]
        );
    }

    #[test]
    fn of_eight_turns_one_is_a_strangers_whoever_else_waits() {
        let mut line = Line::new(64);
        for number in 0..20 {
            line.join(number, known(number), 64);
            line.join(100 + number, stranger(number), 64);
        }
        let turns = turns(&mut line);
        assert_eq!(turns[..8], [0, 1, 2, 3, 4, 5, 6, 100]);
        assert_eq!(turns[8..16], [7, 8, 9, 10, 11, 12, 13, 101]);
    }

    #[test]
    fn a_stranger_who_comes_late_waits_for_seven_known_devices_at_most() {
        let mut line = Line::new(64);
        for number in 0..40 {
            line.join(number, known(number), 64);
        }
        for _ in 0..20 {
            line.next();
        }
        line.join(100, stranger(1), 64);
        assert!(turns(&mut line)[..8].contains(&100));
    }

    #[test]
    fn where_all_is_taken_the_newest_of_the_largest_subnet_makes_room() {
        let mut line = line(
            4,
            &[
                (stranger(1), "flood 1"),
                (stranger(1), "flood 2"),
                (stranger(1), "flood 3"),
                (stranger(2), "somebody"),
            ],
        );
        let strangers = LaneKind::Strangers;
        assert_eq!(line.join("flood 4", stranger(1), 4), Joined::TurnedAway("flood 4"));
        assert_eq!(
            line.join("other", stranger(3), 4),
            Joined::InPlaceOf("flood 3", strangers)
        );
        assert_eq!(
            line.join("third", stranger(4), 4),
            Joined::InPlaceOf("flood 2", strangers)
        );
        // Everybody waits with one: whoever comes is the newest.
        assert_eq!(line.join("fourth", stranger(5), 4), Joined::TurnedAway("fourth"));
        assert_eq!(turns(&mut line), ["flood 1", "somebody", "other", "third"]);
    }

    #[test]
    fn somebody_known_is_not_sent_away_while_a_stranger_waits() {
        let mut line = line(2, &[(stranger(1), "first"), (stranger(2), "second")]);
        let strangers = LaneKind::Strangers;
        assert_eq!(line.join("owner", known(1), 2), Joined::InPlaceOf("second", strangers));
        assert_eq!(line.join("stranger", stranger(3), 2), Joined::TurnedAway("stranger"));
        assert_eq!(
            line.join("colleague", known(1), 2),
            Joined::InPlaceOf("first", strangers)
        );
        assert_eq!(line.join("stranger", stranger(3), 2), Joined::TurnedAway("stranger"));
        // Among themselves known devices are treated as strangers are.
        assert_eq!(line.join("third", known(1), 2), Joined::TurnedAway("third"));
        assert_eq!(
            line.join("elsewhere", known(2), 2),
            Joined::InPlaceOf("colleague", LaneKind::Known)
        );
        assert_eq!(turns(&mut line), ["owner", "elsewhere"]);
    }

    #[test]
    fn one_subnet_never_holds_all_places_of_a_lane() {
        let mut line = Line::new(8);
        for number in 0..8 {
            let joined = line.join(number, known(1), 8);
            assert_eq!(joined == Joined::Waits, number < 6, "{number}: {joined:?}");
        }
        assert_eq!(line.join(10, stranger(1), 8), Joined::Waits);
        assert_eq!(Line::<u8>::new(1).most_of_subnet, 1);
        assert_eq!(Line::<u8>::new(2).most_of_subnet, 2);
    }

    #[test]
    fn whoever_gives_up_leaves_no_gap() {
        let mut line = line(4, &[(stranger(1), "gone"), (known(1), "gone"), (stranger(2), "waits")]);
        assert_eq!(line.retain(|name| *name != "gone"), 2);
        assert_eq!((line.len(), line.waiting(LaneKind::Strangers)), (1, 1));
        assert_eq!(turns(&mut line), ["waits"]);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Join(Place),
        Next,
        GiveUp(u8),
    }

    fn step() -> impl Strategy<Value = Step> {
        let lane = prop_oneof![Just(LaneKind::Strangers), Just(LaneKind::Known)];
        prop_oneof![
            5 => (lane, 0_u8..5).prop_map(|(lane, subnet)| Step::Join(place(lane, subnet))),
            3 => Just(Step::Next),
            1 => (0_u8..16).prop_map(Step::GiveUp),
        ]
    }

    /// What is known of everybody who waits, kept in the simplest way.
    #[derive(Default)]
    struct Model(Vec<(usize, Place)>);

    impl Model {
        fn of(&self, place: Place) -> usize {
            self.0.iter().filter(|(_, other)| *other == place).count()
        }

        fn lane(&self, lane: LaneKind) -> usize {
            self.0.iter().filter(|(_, place)| place.lane == lane).count()
        }

        fn largest(&self, lane: LaneKind) -> usize {
            let of_lane = self.0.iter().filter(|(_, place)| place.lane == lane);
            of_lane.map(|(_, place)| self.of(*place)).max().unwrap_or_default()
        }

        /// Whoever leaves was there.
        fn leaves(&mut self, item: usize) -> Place {
            let index = self.0.iter().position(|(waiting, _)| *waiting == item);
            self.0.remove(index.unwrap()).1
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

        #[test]
        fn the_bounds_hold_nobody_is_lost_and_nobody_is_wronged(
            places in 1_usize..10,
            steps in prop::collection::vec(step(), 1..200),
        ) {
            let (mut line, mut model) = (Line::new(places), Model::default());
            // How many turns have passed over each place where somebody waits.
            let mut waited: HashMap<Place, usize> = HashMap::new();
            let mut in_a_row = 0;
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Join(place) => {
                        let (own, full) = (model.of(place), model.0.len() == places);
                        match line.join(number, place, places) {
                            Joined::Waits => {
                                prop_assert!(!full);
                                model.0.push((number, place));
                            }
                            Joined::InPlaceOf(displaced, lane) => {
                                prop_assert!(full);
                                let largest = model.largest(lane);
                                let newest = model.0.iter().filter(|(_, other)| other.lane == lane);
                                let newest = newest.filter(|(_, other)| model.of(*other) == largest);
                                let newest = newest.map(|(item, _)| *item).max();
                                prop_assert_eq!(Some(displaced), newest, "the newest of the largest");
                                let strangers_wait = model.lane(LaneKind::Strangers) > 0;
                                prop_assert!(lane == LaneKind::Strangers || !strangers_wait);
                                prop_assert!(lane == LaneKind::Strangers || place.lane == LaneKind::Known);
                                prop_assert!(lane != place.lane || largest > own + 1);
                                model.leaves(displaced);
                                model.0.push((number, place));
                            }
                            Joined::TurnedAway(item) => {
                                prop_assert_eq!(item, number);
                                let crowded = own >= places - places / 4;
                                let stranger = place.lane == LaneKind::Strangers;
                                let strangers_wait = model.lane(LaneKind::Strangers) > 0;
                                prop_assert!(crowded || full);
                                prop_assert!(crowded || stranger || !strangers_wait, "a known device is sent away");
                                prop_assert!(crowded || model.largest(place.lane) <= own + 1);
                            }
                        }
                    }
                    Step::Next => {
                        let strangers = model.lane(LaneKind::Strangers);
                        let Some((item, lane)) = line.next() else {
                            prop_assert!(model.0.is_empty());
                            continue;
                        };
                        let place = model.leaves(item);
                        prop_assert_eq!(place.lane, lane);
                        prop_assert!(model.0.iter().all(|(other, at)| *at != place || *other > item), "first come");
                        in_a_row = if lane == LaneKind::Known && strangers > 0 { in_a_row + 1 } else { 0 };
                        prop_assert!(in_a_row < TURNS);
                        for (_, other) in &model.0 {
                            if *other != place && other.lane == lane {
                                *waited.entry(*other).or_default() += 1;
                            }
                        }
                        waited.remove(&place);
                    }
                    Step::GiveUp(remainder) => {
                        let gone = |item: usize| item % 16 == usize::from(remainder);
                        let before = model.0.len();
                        model.0.retain(|(item, _)| !gone(*item));
                        prop_assert_eq!(line.retain(|item| !gone(*item)), before - model.0.len());
                    }
                }
                let waiting: HashSet<Place> = model.0.iter().map(|(_, place)| *place).collect();
                waited.retain(|place, _| waiting.contains(place));
                prop_assert!(line.len() <= places);
                prop_assert_eq!(line.len(), model.0.len());
                for lane in [LaneKind::Known, LaneKind::Strangers] {
                    prop_assert_eq!(line.waiting(lane), model.lane(lane));
                }
                for place in waiting {
                    prop_assert!(model.of(place) <= places - places / 4);
                }
            }
        }

        #[test]
        fn subnets_that_always_wait_are_served_alike(subnets in 1_u8..12, turns in 1_usize..200) {
            let mut line = Line::new(1000);
            let mut served: HashMap<u8, usize> = (0..subnets).map(|subnet| (subnet, 0)).collect();
            for subnet in 0..subnets {
                // The first floods, the others send one at a time.
                for _ in 0..if subnet == 0 { 500 } else { 1 } {
                    line.join(subnet, stranger(subnet), 1000);
                }
            }
            for _ in 0..turns {
                let (subnet, _) = line.next().unwrap();
                *served.get_mut(&subnet).unwrap() += 1;
                line.join(subnet, stranger(subnet), 1000);
            }
            let (least, most) = (served.values().min().unwrap(), served.values().max().unwrap());
            prop_assert!(most - least <= 1, "{served:?}");
        }
    }
}
