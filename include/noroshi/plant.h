/*
 * Planted bugs: what the tests must be able to find.  In every ordinary build
 * NRS_PLANTED() is the constant 0 and nothing of it remains.  Only the
 * simulator, built with -Dplant=N or -Dplant=-1 (chosen at run time), has them.
 */
#ifndef NOROSHI_PLANT_H
#define NOROSHI_PLANT_H

#ifndef NRS_PLANT
#define NRS_PLANT 0
#endif

#define PLANT(name, num, text) PLANT_##name = num,
enum nrs_plant_id {
#include "noroshi/plant.def"
	PLANT__END
};
#undef PLANT

#if NRS_PLANT == 0
#define NRS_PLANTED(name) 0
#elif NRS_PLANT > 0
#define NRS_PLANTED(name) (NRS_PLANT == PLANT_##name)
#else
extern int nrs_plant; /* tests only: set once, before the first node */
#define NRS_PLANTED(name) (nrs_plant == PLANT_##name)
#endif

#endif
