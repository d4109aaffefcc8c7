(
        {poverty_of_held} > fresh.poverty
        OR (
            {poverty_of_held} = fresh.poverty
            AND COALESCE(held.extracted_time, {first_moment}) <= COALESCE(fresh.extracted_time, {first_moment})
        )
    )
