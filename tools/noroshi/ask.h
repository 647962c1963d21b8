/* Questions to the person at the terminal. None of them is answered by a pipe. */
#ifndef NOROSHI_ASK_H
#define NOROSHI_ASK_H

#include "tools/noroshi/cli.h"

/* Is there a person to ask? */
bool ask_possible(void);
/* "y" or "yes"; anything else, and nobody there, is no. */
bool ask_yes(const char *question);
/* A line as typed, without its end; false: nobody there, or end of input. */
bool ask_line(const char *question, char *dst, size_t max);
/* As ask_line, without echo. Wipe dst after use. */
bool ask_secret(const char *question, char *dst, size_t max);

#endif
