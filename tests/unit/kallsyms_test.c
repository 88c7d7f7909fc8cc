/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Names of places in the kernel: lines of /proc/kallsyms, and the function that an address is in.
 */

#include "kernel/kallsyms.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit.h"

static void a_line_of_code_is_taken(void **state)
{
	(void)state;
	char name[LP_SYMBOL];
	uint64_t address = 0;
	assert_true(lp_kallsyms_parse("ffffffff81f81290 T nf_hook_slow\n", &address, name));
	assert_true(address == UINT64_C(0xffffffff81f81290));
	assert_string_equal(name, "nf_hook_slow");
	assert_true(lp_kallsyms_parse("c0de t nft_do_chain\t[nf_tables]\n", &address, name));
	assert_int_equal(address, 0xc0de);
	assert_string_equal(name, "nft_do_chain");
}

static void another_line_is_not(void **state)
{
	(void)state;
	static const char *const others[] = {
	        "",
	        "\n",
	        "c0de",
	        "c0de ",
	        "c0de T",
	        "c0de T ",
	        "c0de T \n",
	        "c0de D data\n",
	        "xyz T f\n",
	        "10000000000000000 T f\n",
	        "c0de  T f\n",
	        "c0de T a_name_of_sixty_four_letters_is_too_long_for_us_to_keep_of_course_x\n",
	};
	char name[LP_SYMBOL] = "kept";
	uint64_t address = 7;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (lp_kallsyms_parse(others[i], &address, name))
			fail_msg("taken: '%s'", others[i]);
	assert_int_equal(address, 7);
	assert_string_equal(name, "kept");
}

static void an_address_is_in_the_last_function_before_it(void **state)
{
	(void)state;
	static const char text[] = "1000 T first\n2000 D data\n3000 T third\n1800 t second\n";
	char folder[] = "/tmp/lastport-XXXXXX", name[LP_SYMBOL];
	assert_non_null(mkdtemp(folder));
	struct lp_kernel kernel = LP_KERNEL_NONE;
	kernel.proc = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(kernel.proc >= 0);
	assert_int_equal(lp_kallsyms_find(&kernel, 0x1000, name), -ENOENT);
	int fd = openat(kernel.proc, "kallsyms", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
	assert_int_equal(close(fd), 0);
	static const struct {
		uint64_t address;
		const char *name;
	} all[] = {{0x1000, "first"},
	           {0x17ff, "first"},
	           {0x1800, "second"},
	           {0x2fff, "second"},
	           {0x9000, "third"}};
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		assert_int_equal(lp_kallsyms_find(&kernel, all[i].address, name), 0);
		assert_string_equal(name, all[i].name);
	}
	assert_int_equal(lp_kallsyms_find(&kernel, 0xfff, name), -ENOENT);
	assert_int_equal(unlinkat(kernel.proc, "kallsyms", 0), 0);
	lp_kernel_close(&kernel);
	assert_int_equal(rmdir(folder), 0);
}

UNIT_MAIN(cmocka_unit_test(a_line_of_code_is_taken), cmocka_unit_test(another_line_is_not),
          cmocka_unit_test(an_address_is_in_the_last_function_before_it))
