//! A list that grows without ever being moved. A list in one piece is copied as it grows: for a while both copies are there,
//! and the allocator may keep the room of all the shorter ones, which no longer one fits into.

/// Values by their place, which they keep.
#[derive(Debug)]
pub(super) struct Pages<T>(Vec<Vec<T>>);

impl<T> Default for Pages<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// Values of one page.
const PAGE: usize = 512;

impl<T> Pages<T> {
    pub fn len(&self) -> usize {
        let full = self.0.len().saturating_sub(1) * PAGE;
        full + self.0.last().map_or(0, Vec::len)
    }

    pub fn get(&self, place: u32) -> Option<&T> {
        let place = place as usize;
        self.0.get(place / PAGE)?.get(place % PAGE)
    }

    pub fn get_mut(&mut self, place: u32) -> Option<&mut T> {
        let place = place as usize;
        self.0.get_mut(place / PAGE)?.get_mut(place % PAGE)
    }

    /// Adds one; answers its place.
    pub fn push(&mut self, value: T) -> u32 {
        let place = u32::try_from(self.len()).unwrap_or(u32::MAX);
        if let Some(page) = self.0.last_mut().filter(|page| page.len() < PAGE) {
            page.push(value);
        } else {
            // Small tables stay small.
            let mut page = Vec::with_capacity(if self.0.is_empty() { 0 } else { PAGE });
            page.push(value);
            self.0.push(page);
        }
        place
    }

    /// From this place on.
    pub fn iter_from(&self, place: usize) -> impl Iterator<Item = &T> {
        let pages = self.0.iter().skip(place / PAGE);
        pages.flatten().skip(place % PAGE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_keeps_its_place_over_many_pages() {
        let mut pages = Pages::default();
        assert_eq!((pages.len(), pages.get(0)), (0, None));
        for value in 0..3000_u32 {
            assert_eq!(pages.push(value), value);
        }
        assert_eq!(pages.len(), 3000);
        *pages.get_mut(2047).unwrap() = 7;
        assert_eq!(
            (pages.get(2046), pages.get(2047), pages.get(3000)),
            (Some(&2046), Some(&7), None)
        );
        for from in [0, 511, 512, 2999, 3000, 9000] {
            assert_eq!(pages.iter_from(from).count(), 3000_usize.saturating_sub(from), "{from}");
        }
        assert_eq!(pages.iter_from(1500).next(), Some(&1500));
    }
}
